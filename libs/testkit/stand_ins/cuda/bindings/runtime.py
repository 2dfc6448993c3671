"""CUDA's runtime without a GPU: host memory stands in for the device's, a list for the stream.

STAND_IN_GPUS=0          no GPU is found
STAND_IN_GRAPHS=FILE     a line for each graph that is launched
STAND_IN_UNRECORDABLE=1  work on the stream cannot be recorded as a graph
"""

from __future__ import annotations

import ctypes
import enum
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

cudaStreamNonBlocking = 1
cudaHostAllocDefault = 0


class cudaError_t(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorNoDevice = 100
    cudaErrorStreamCaptureUnsupported = 900


class cudaMemcpyKind(enum.IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaStreamCaptureMode(enum.IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


class cudaDeviceProp:
    name = b"Stand-in"
    major, minor = 8, 7
    multiProcessorCount = 8


_OK = cudaError_t.cudaSuccess
_STREAM = 7
_memory: dict[int, Any] = {}
_recording: list[Callable[[], None]] | None = None


def enqueue(work: Callable[[], None]) -> None:
    """Do it, or record it while the stream is in capture."""
    if _recording is None:
        work()
    else:
        _recording.append(work)


def cudaGetDeviceCount() -> tuple[Any, ...]:
    count = int(os.environ.get("STAND_IN_GPUS", "1"))
    return (_OK, count) if count else (cudaError_t.cudaErrorNoDevice, None)


def cudaSetDevice(device: int) -> tuple[Any, ...]:
    return (_OK,)


def cudaGetDeviceProperties(device: int) -> tuple[Any, ...]:
    return (_OK, cudaDeviceProp())


def cudaRuntimeGetVersion() -> tuple[Any, ...]:
    return (_OK, 12060)


def cudaDriverGetVersion() -> tuple[Any, ...]:
    return (_OK, 12060)


def cudaDeviceGetStreamPriorityRange() -> tuple[Any, ...]:
    return (_OK, 0, -5)


def cudaStreamCreateWithPriority(flags: int, priority: int) -> tuple[Any, ...]:
    return (_OK, _STREAM) if priority == -5 else (cudaError_t.cudaErrorInvalidValue, None)


def cudaStreamSynchronize(stream: object) -> tuple[Any, ...]:
    return (_OK,) if _recording is None else (cudaError_t.cudaErrorStreamCaptureUnsupported,)


def cudaHostAlloc(size: int, flags: int) -> tuple[Any, ...]:
    return cudaMalloc(size)


def cudaMalloc(size: int) -> tuple[Any, ...]:
    if size < 1:
        return (cudaError_t.cudaErrorInvalidValue, None)
    block = ctypes.create_string_buffer(size)
    address = ctypes.addressof(block)
    _memory[address] = block
    return (_OK, address)


def cudaFree(devPtr: int) -> tuple[Any, ...]:
    return (_OK,) if _memory.pop(devPtr, None) else (cudaError_t.cudaErrorInvalidValue,)


cudaFreeHost = cudaFree


def cudaMemcpyAsync(
    dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: object
) -> tuple[Any, ...]:
    if dst not in _memory or src not in _memory or stream != _STREAM:
        return (cudaError_t.cudaErrorInvalidValue,)
    enqueue(lambda: _copy(dst, src, count))
    return (_OK,)


def _copy(dst: int, src: int, count: int) -> None:
    ctypes.memmove(dst, src, count)


def cudaStreamBeginCapture(stream: object, mode: cudaStreamCaptureMode) -> tuple[Any, ...]:
    global _recording
    if os.environ.get("STAND_IN_UNRECORDABLE") or _recording is not None:
        return (cudaError_t.cudaErrorStreamCaptureUnsupported,)
    _recording = []
    return (_OK,)


def cudaStreamEndCapture(stream: object) -> tuple[Any, ...]:
    global _recording
    recorded, _recording = _recording, None
    return (_OK, recorded)


def cudaGraphInstantiate(graph: object, flags: int) -> tuple[Any, ...]:
    return (_OK, graph)


def cudaGraphLaunch(graphExec: list[Callable[[], None]], stream: object) -> tuple[Any, ...]:
    for work in graphExec:
        work()
    if os.environ.get("STAND_IN_GRAPHS"):
        with Path(os.environ["STAND_IN_GRAPHS"]).open("a") as file:
            file.write("launched\n")
    return (_OK,)


def cudaGraphDestroy(graph: object) -> tuple[Any, ...]:
    return (_OK,)


def cudaGraphExecDestroy(graphExec: object) -> tuple[Any, ...]:
    return (_OK,)
