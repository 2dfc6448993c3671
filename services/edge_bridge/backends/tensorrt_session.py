"""Runs one TensorRT engine: pinned memory, one stream, and its work recorded as a CUDA graph.

A graph fixes shapes and addresses, so it is recorded anew for each shape that comes more than once.
Where the work cannot be recorded it is enqueued plainly, with the same answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edge_bridge.backends.backend import Array
from edge_bridge.backends.gpu import Buffer, Gpu, GpuError, Graph
from edge_bridge.errors import LoadFailedError
from fleetward.engines.listening import log_of
from fleetward.engines.tensorrt_api import ICudaEngine, TensorRt

_ELEMENTS = {
    **{"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32"},
    **{"INT64": "int64", "BOOL": "bool", "UINT8": "uint8"},
}
RUNS_BEFORE_RECORDING = 1
"""Plain ones with the same shapes: TensorRT sets itself up in the first."""


class TensorRtSession:
    """One engine, one execution context, the buffers of the shapes that came last."""

    def __init__(self, trt: TensorRt, gpu: Gpu, engine: ICudaEngine) -> None:
        """Raises LoadFailedError for an engine that cannot be run here, GpuError."""
        context = engine.create_execution_context()
        if context is None:
            raise LoadFailedError(
                f"TensorRT makes no execution context of the engine: {_said(trt)}. It may lack "
                "memory on the GPU."
            )
        self._trt, self._gpu = trt, gpu
        self._engine, self._context = engine, context
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = frozenset(
            name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        )
        self._elements = {name: _element(name, engine) for name in names}
        self._inputs = inputs
        self.outputs = [name for name in names if name not in inputs]
        on_host = [
            name for name in names if engine.get_tensor_location(name) == trt.TensorLocation.HOST
        ]
        self._on_host = frozenset(on_host)
        """Tensors whose values are shapes: TensorRT reads and writes them here, not on the GPU."""
        self.unrecorded = f"{', '.join(on_host)} lies on the host" if on_host else ""
        """Why the work is enqueued plainly: what decides on shapes, or what recording it failed with."""
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._buffers: dict[str, Buffer] = {}
        self._graph: Graph | None = None
        self._plain_runs = 0

    def run(self, fed: Mapping[str, Array]) -> dict[str, Array]:
        """Every output for these inputs; raises ValueError for shapes it cannot take, GpuError."""
        wanted = {name: fed[name] for name in self._inputs}
        shapes = {name: array.shape for name, array in wanted.items()}
        if shapes != self._shapes:
            self._release()
            for name, array in wanted.items():
                self._bind_input(name, array.shape)
        for name, array in wanted.items():
            np.copyto(self._buffers[name].array, array, casting="same_kind")
        if shapes != self._shapes:
            self._bind_outputs()
            self._shapes = shapes
        self._launch()
        self._gpu.synchronize()
        return {name: self._buffers[name].array.copy() for name in self.outputs}

    def _launch(self) -> None:
        if (
            self._graph is None
            and self._plain_runs >= RUNS_BEFORE_RECORDING
            and not self.unrecorded
        ):
            self._record()
        if self._graph is not None:
            self._graph.launch()
        else:
            self._enqueue()
            self._plain_runs += 1

    def _record(self) -> None:
        try:
            self._graph = self._gpu.record(self._enqueue)
        except GpuError as problem:
            self.unrecorded = str(problem)

    def _enqueue(self) -> None:
        for name in self._inputs - self._on_host:
            self._buffers[name].upload()
        if not self._context.execute_async_v3(int(self._gpu.stream)):
            raise GpuError(f"TensorRT did not enqueue the inference: {_said(self._trt)}.")
        for name in self.outputs:
            if name not in self._on_host:
                self._buffers[name].download()

    def _bind_input(self, name: str, shape: tuple[int, ...]) -> None:
        if not self._context.set_input_shape(name, shape):
            raise ValueError(f"the engine takes no {name!r} of shape {shape}: {_said(self._trt)}")
        self._give_memory(name, shape)

    def _bind_outputs(self) -> None:
        if missing := list(self._context.infer_shapes()):
            raise ValueError(f"no shapes follow from the inputs: {', '.join(missing)}")
        for name in self.outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            if any(side < 0 for side in shape):
                raise ValueError(f"the shape of {name!r} depends on the values of inputs: {shape}")
            self._give_memory(name, shape)

    def _give_memory(self, name: str, shape: tuple[int, ...]) -> None:
        buffer = self._buffers[name] = Buffer(self._gpu, shape, self._elements[name])
        address = buffer.host if name in self._on_host else buffer.address
        if not self._context.set_tensor_address(name, address):
            raise GpuError(f"TensorRT refused the memory of {name!r}: {_said(self._trt)}.")

    def _release(self) -> None:
        if self._graph is not None:
            self._graph.close()
        for buffer in self._buffers.values():
            buffer.close()
        self._graph, self._plain_runs = None, 0
        self._shapes, self._buffers = {}, {}


def _element(name: str, engine: ICudaEngine) -> np.dtype[Any]:
    kind = engine.get_tensor_dtype(name).name
    if kind not in _ELEMENTS:
        raise LoadFailedError(
            f"the engine's {name!r} is {kind}, which a robot neither feeds nor reads. Export the "
            f"model with one of {', '.join(_ELEMENTS)}, or set FLEETWARD_BACKEND=onnxruntime."
        )
    return np.dtype(_ELEMENTS[kind])


def _said(trt: TensorRt) -> str:
    return (log_of(trt).complaints.take() or ["it gave no reason"])[-1]
