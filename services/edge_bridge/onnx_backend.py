"""Serves an ONNX model on ONNX Runtime: one thread, no spinning, described by its own metadata.

Beyond the frame, a model may ask for two things, both JSON objects in its ``metadata_props``:
``fleetward.constants`` gives fixed values to further inputs (a sample rate), ``fleetward.state``
names the output that becomes an input of the next frame (a recurrent state). State starts at zero
with each worker, so also after a swap.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias, TypeVar

import msgspec
import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types

from edge_bridge.backend import Array, Inference
from edge_bridge.confidence import confidence_of
from edge_bridge.errors import LoadFailedError
from edge_bridge.model_input import ImageInput, image_input

CONSTANTS_KEY = "fleetward.constants"
STATE_KEY = "fleetward.state"
DEFAULT_SAMPLES = 512
"""Samples of a warm-up frame where an audio model leaves its length open."""

_Described = TypeVar("_Described")
_Untyped: TypeAlias = Any  # onnxruntime ships no types

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxBackend:
    """One session over the bytes of one file."""

    def __init__(self, model: bytes) -> None:
        """Load ``model``; raises LoadFailedError."""
        self._session = _session(model)
        self._outputs = [output.name for output in self._session.get_outputs()]
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self._confidence = confidence_of(metadata, self._outputs)
        self._state_outputs = _described(metadata, STATE_KEY, dict[str, str])
        frame, *further = self._session.get_inputs()
        self._frame = frame
        self._type = _numpy_type(frame)
        self._image = self._image_input(metadata)
        constants = _described(metadata, CONSTANTS_KEY, dict[str, float])
        self._at_first = {one.name: _filled(one, constants.get(one.name, 0)) for one in further}
        self._further = dict(self._at_first)

    def sample(self) -> Array:
        """Black pixels [height, width, 3], or silence [samples]."""
        if self._image is not None:
            return np.zeros((self._image.height_px, self._image.width_px, 3), np.uint8)
        length = self._frame.shape[-1] if self._frame.shape else None
        return np.zeros(length if isinstance(length, int) else DEFAULT_SAMPLES, np.float32)

    def infer(self, frame: Array) -> Inference:
        """Answer one frame; raises ValueError or ONNX Runtime's own error."""
        fed = {self._frame.name: self._tensor(frame), **self._further}
        answers = dict(zip(self._outputs, self._session.run(None, fed), strict=True))
        for source, output in self._state_outputs.items():
            self._further[source] = answers[output]
        confidence = self._confidence
        sure = confidence.of(answers[confidence.output]) if confidence else None
        return Inference(answers, sure)

    def reset(self) -> None:
        """State is zero again; constants are what they were."""
        self._further = dict(self._at_first)

    def _image_input(self, metadata: dict[str, str]) -> ImageInput | None:
        if len(self._frame.shape) != 4:
            return None
        described = image_input(metadata, self._frame.name, self._frame.shape)
        if described.name != self._frame.name:
            raise LoadFailedError(
                f"the model's metadata describes input {described.name!r}, its first input is "
                f"{self._frame.name!r}. Correct it and push the model under a new version."
            )
        return described

    def _tensor(self, frame: Array) -> Array:
        if self._image is not None:
            return self._image.tensor(frame).astype(self._type, copy=False)
        leading = (1,) * (len(self._frame.shape) - frame.ndim)
        return frame.reshape(leading + frame.shape).astype(self._type, copy=False)


def _session(model: bytes) -> _Untyped:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception, told once
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors share no narrower root
        raise LoadFailedError(f"ONNX Runtime {onnxruntime.__version__} says: {error}") from error


def _numpy_type(one: _Untyped) -> type[np.generic]:
    if one.type not in _TYPES:
        raise LoadFailedError(
            f"input {one.name!r} is {one.type}, this robot feeds {', '.join(_TYPES)}. "
            "Export the model with another input type."
        )
    return _TYPES[one.type]


def _filled(one: _Untyped, value: float) -> Array:
    shape = [side if isinstance(side, int) and side > 0 else 1 for side in one.shape]
    return np.full(math.prod(shape), value, _numpy_type(one)).reshape(shape)


def _described(metadata: dict[str, str], key: str, shape: type[_Described]) -> _Described:
    try:
        described: _Described = msgspec.json.decode(metadata.get(key, "{}"), type=shape)
    except msgspec.MsgspecError as error:
        raise LoadFailedError(
            f"the model's metadata {key!r} cannot be read: {error}. "
            "Correct it and push the model again under a new version."
        ) from error
    return described
