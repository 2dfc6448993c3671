"""Serves an ONNX model on ONNX Runtime: one thread, no spinning; on the CPU, or on a GPU through CUDA."""

from __future__ import annotations

from typing import Any, TypeAlias

import onnxruntime  # type: ignore[import-untyped]  # ships no types

from edge_bridge.backends.backend import Array, Inference
from edge_bridge.backends.model_feed import ModelFeed
from edge_bridge.errors import LoadFailedError
from fleetward.engines.onnx_face import Port

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"

_Untyped: TypeAlias = Any  # onnxruntime ships no types

_TYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def has_cuda() -> bool:
    """Whether this ONNX Runtime was built with CUDA; a GPU may still be missing."""
    return CUDA in onnxruntime.get_available_providers()


class OnnxBackend:
    """One session over the bytes of one file."""

    def __init__(self, model: bytes, provider: str = CPU) -> None:
        """Load ``model``; raises LoadFailedError, also when ``provider`` cannot be used here."""
        self._session = _session(model, provider)
        self._outputs = [output.name for output in self._session.get_outputs()]
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        inputs = [_port(one) for one in self._session.get_inputs()]
        self._feed = ModelFeed(inputs, self._outputs, metadata)

    def sample(self) -> Array:
        """Black pixels [height, width, 3], or silence [samples]."""
        return self._feed.sample()

    def infer(self, frame: Array) -> Inference:
        """Answer one frame; raises ValueError or ONNX Runtime's own error."""
        answers = self._session.run(None, self._feed.fed(frame))
        return self._feed.inference(dict(zip(self._outputs, answers, strict=True)))

    def reset(self) -> None:
        """State is zero again; constants are what they were."""
        self._feed.reset()


def _session(model: bytes, provider: str) -> _Untyped:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception, told once
    providers = [provider] if provider == CPU else [provider, CPU]
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # its errors share no narrower root
        raise LoadFailedError(f"ONNX Runtime {onnxruntime.__version__} says: {error}") from error
    if provider not in session.get_providers():  # it goes on without, and says so in its log alone
        raise LoadFailedError(
            f"ONNX Runtime {onnxruntime.__version__} cannot use {provider} here. Install its GPU "
            "package, CUDA and a driver, or set FLEETWARD_BACKEND=onnxruntime."
        )
    return session


def _port(one: _Untyped) -> Port:
    shape = tuple(side if isinstance(side, int) and side > 0 else None for side in one.shape)
    return Port(name=one.name, element=_TYPES.get(one.type, one.type), shape=shape)
