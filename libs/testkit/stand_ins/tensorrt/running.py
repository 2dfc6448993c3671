"""Runs what the other half built."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from cuda.bindings import runtime as cuda  # type: ignore[import-not-found]  # the one beside this

from .known import MARK, TYPES, DataType, ILogger, TensorIOMode, TensorLocation, journal, session_of


class Runtime:
    engine_host_code_allowed = True
    DLA_core = -1

    def __init__(self, logger: ILogger) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: bytes | memoryview) -> _Engine | None:
        assert not self.engine_host_code_allowed
        content = bytes(serialized_engine)
        journal(hashlib.sha256(content).hexdigest())
        if not content.startswith(MARK):
            self._logger.log(ILogger.Severity.ERROR, "Magic tag does not match")
            return None
        return _Engine(content.removeprefix(MARK))


class _Engine:
    def __init__(self, model: bytes) -> None:
        self.session = session_of(model)
        self.inputs = {one.name: one for one in self.session.get_inputs()}
        self.outputs = {one.name: one for one in self.session.get_outputs()}
        self._names: list[str] = [*self.inputs, *self.outputs]

    @property
    def num_io_tensors(self) -> int:
        return len(self._names)

    def get_tensor_name(self, index: int) -> str:
        return self._names[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_location(self, name: str) -> TensorLocation:
        return TensorLocation.DEVICE

    def get_tensor_dtype(self, name: str) -> DataType:
        return TYPES[{**self.inputs, **self.outputs}[name].type][0]

    def create_execution_context(self) -> _Context:
        return _Context(self)


class _Context:
    """Shapes of outputs are found by running once on zeros."""

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        declared = self._engine.inputs[name].shape
        fits = len(declared) == len(shape) and all(
            not isinstance(side, int) or side == given
            for side, given in zip(declared, shape, strict=True)
        )
        self._shapes[name] = tuple(shape)
        return fits

    def infer_shapes(self) -> list[str]:
        missing = [name for name in self._engine.inputs if name not in self._shapes]
        if not missing:
            zeros = {
                name: np.zeros(self._shapes[name], TYPES[one.type][1])
                for name, one in self._engine.inputs.items()
            }
            answers = self._engine.session.run(None, zeros)
            for name, answer in zip(self._engine.outputs, answers, strict=True):
                self._shapes[name] = answer.shape
        return missing

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        if {*self._engine.inputs, *self._engine.outputs} - {*self._addresses}:
            return False
        cuda.enqueue(self._compute)
        return True

    def _compute(self) -> None:
        fed = {name: self._at(name, one) for name, one in self._engine.inputs.items()}
        answers = self._engine.session.run(None, fed)
        for (name, one), answer in zip(self._engine.outputs.items(), answers, strict=True):
            self._at(name, one)[...] = answer

    def _at(self, name: str, one: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401 (untyped)
        shape, element = self._shapes[name], np.dtype(TYPES[one.type][1])
        size = int(np.prod(shape, dtype=np.int64))
        memory = (ctypes.c_byte * (size * element.itemsize)).from_address(self._addresses[name])
        return np.frombuffer(memoryview(memory), element, size).reshape(shape)
