"""One NVIDIA GPU through CUDA's runtime: its facts, a stream, buffers on both sides, recorded graphs."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from edge_bridge.backends.backend import Array
from edge_bridge.errors import BridgeError
from fleetward.engines.cuda_api import CudaRuntime
from fleetward.engines.recipe import Platform

MODULE = "cuda.bindings.runtime"
DEVICE = 0
DRIVER_FILES = (Path("/etc/nv_tegra_release"), Path("/sys/module/nvidia/version"))
"""The L4T release of a Jetson, the driver's version elsewhere."""


class GpuError(BridgeError):
    """There is no GPU to use here, or CUDA refused a call; the message names it."""


def load_cuda() -> CudaRuntime:
    """CUDA's runtime; raises GpuError when it is not installed."""
    try:
        return cast(CudaRuntime, importlib.import_module(MODULE))
    except (ImportError, OSError) as problem:  # OSError: a library that it needs
        raise GpuError(
            f"CUDA for Python cannot be imported ({problem}). Install edge-bridge[tensorrt]."
        ) from problem


@cache
def this_gpu() -> Gpu:
    """The one of this process; raises GpuError when there is none to use."""
    return Gpu(load_cuda())


class Gpu:
    """The first GPU, and a stream of the highest priority on it."""

    def __init__(self, cuda: CudaRuntime) -> None:
        """Raises GpuError when there is none."""
        self.cuda = cuda
        count = _answer("cudaGetDeviceCount", cuda.cudaGetDeviceCount())
        if not count:
            raise GpuError("CUDA finds no GPU on this machine.")
        _answer("cudaSetDevice", cuda.cudaSetDevice(DEVICE))
        priorities = cuda.cudaDeviceGetStreamPriorityRange()
        _answer("cudaDeviceGetStreamPriorityRange", priorities)
        highest = priorities[2]
        self.stream = _answer(
            "cudaStreamCreateWithPriority",
            cuda.cudaStreamCreateWithPriority(cuda.cudaStreamNonBlocking, highest),
        )

    def platform(self, tensorrt: str) -> Platform:
        """What engines depend on; ``tensorrt``: its flavour and version."""
        cuda = self.cuda
        device = _answer("cudaGetDeviceProperties", cuda.cudaGetDeviceProperties(DEVICE))
        supported = _answer("cudaDriverGetVersion", cuda.cudaDriverGetVersion())
        return Platform(
            tensorrt=tensorrt,
            cuda_runtime=_answer("cudaRuntimeGetVersion", cuda.cudaRuntimeGetVersion()),
            driver=f"{supported} {_driver_release()}".strip(),
            gpu=device.name.decode(errors="replace").rstrip("\0"),
            compute_capability=f"{device.major}.{device.minor}",
            multiprocessors=device.multiProcessorCount,
        )

    def synchronize(self) -> None:
        """Wait until the stream is empty; raises GpuError for whatever failed on it."""
        _answer("cudaStreamSynchronize", self.cuda.cudaStreamSynchronize(self.stream))

    def record(self, work: Callable[[], None]) -> Graph:
        """What ``work`` puts on the stream, recorded and not done; raises what ``work`` raises, GpuError."""
        cuda, mode = self.cuda, self.cuda.cudaStreamCaptureMode
        thread_local = mode.cudaStreamCaptureModeThreadLocal
        _answer("cudaStreamBeginCapture", cuda.cudaStreamBeginCapture(self.stream, thread_local))
        try:
            work()
        except BaseException:
            cuda.cudaStreamEndCapture(self.stream)  # or the stream stays in capture for good
            raise
        graph = _answer("cudaStreamEndCapture", cuda.cudaStreamEndCapture(self.stream))
        try:
            launched = _answer("cudaGraphInstantiate", cuda.cudaGraphInstantiate(graph, 0))
        finally:
            cuda.cudaGraphDestroy(graph)
        return Graph(self, launched)


class Graph:
    """Recorded work: launched as one, with the shapes and addresses it was recorded with."""

    def __init__(self, gpu: Gpu, executable: object) -> None:
        self._gpu = gpu
        self._executable = executable

    def launch(self) -> None:
        """Put all of it on the stream; raises GpuError."""
        cuda = self._gpu.cuda
        _answer("cudaGraphLaunch", cuda.cudaGraphLaunch(self._executable, self._gpu.stream))

    def close(self) -> None:
        """Free it."""
        self._gpu.cuda.cudaGraphExecDestroy(self._executable)


class Buffer:
    """One tensor twice: pinned on the host, at ``host`` and as ``array``, and on the device, at ``address``."""

    def __init__(self, gpu: Gpu, shape: tuple[int, ...], element: np.dtype[Any]) -> None:
        self._gpu = gpu
        self._size_bytes = int(np.prod(shape, dtype=np.int64)) * element.itemsize
        room_bytes = max(1, self._size_bytes)
        cuda = gpu.cuda
        pinned = cuda.cudaHostAlloc(room_bytes, cuda.cudaHostAllocDefault)
        self.host = int(_answer(f"cudaHostAlloc of {room_bytes} bytes", pinned))
        try:
            device = cuda.cudaMalloc(room_bytes)
            self.address = int(_answer(f"cudaMalloc of {room_bytes} bytes", device))
        except GpuError:
            cuda.cudaFreeHost(self.host)
            raise
        memory = (ctypes.c_byte * room_bytes).from_address(self.host)
        count = self._size_bytes // element.itemsize
        self.array: Array = np.frombuffer(memoryview(memory), element, count).reshape(shape)

    def upload(self) -> None:
        """Copy to the device, on the stream; raises GpuError."""
        kind = self._gpu.cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(self.address, self.host, kind)

    def download(self) -> None:
        """Copy to the host, on the stream; raises GpuError."""
        kind = self._gpu.cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(self.host, self.address, kind)

    def close(self) -> None:
        """Free both; ``array`` must not be used any more."""
        self._gpu.cuda.cudaFree(self.address)
        self._gpu.cuda.cudaFreeHost(self.host)

    def _copy(self, target: int, source: int, kind: Any) -> None:  # noqa: ANN401 (CUDA's enum)
        cuda, stream = self._gpu.cuda, self._gpu.stream
        copied = cuda.cudaMemcpyAsync(target, source, self._size_bytes, kind, stream)
        _answer("cudaMemcpyAsync", copied)


def _answer(call: str, answered: tuple[Any, ...]) -> Any:  # noqa: ANN401 (what the call gives)
    """The first value beside the error, None where there is none; raises GpuError."""
    error, *values = answered
    if int(error) != 0:
        raise GpuError(f"{call} failed: {getattr(error, 'name', error)}.")
    return values[0] if values else None


def _driver_release() -> str:
    for path in DRIVER_FILES:
        with suppress(OSError, UnicodeDecodeError):
            return path.read_text(encoding="ascii").splitlines()[0].strip()
    return ""
