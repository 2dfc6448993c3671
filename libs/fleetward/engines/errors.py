"""What can go wrong with an engine, named by its cause."""

from __future__ import annotations

from fleetward.contracts.errors import FleetwardError


class EngineError(FleetwardError):
    """The root of every error about engines."""


class OnnxFaceError(EngineError):
    """The bytes are no ONNX model whose inputs and outputs can be read."""


class EngineBuildError(EngineError):
    """TensorRT does not make an engine of this model; the message says why."""


class BuildCancelledError(EngineError):
    """The build was given up half-way. timing: what it had measured until then, for the next one."""

    def __init__(self, message: str, timing: bytes) -> None:
        super().__init__(message)
        self.timing = timing
