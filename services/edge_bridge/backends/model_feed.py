"""What a model is fed beside the frame, and what of its answer it is fed again; the same on every runtime.

Beyond the frame, a model may ask for two things, both JSON objects in its ``metadata_props``:
``fleetward.constants`` gives fixed values to further inputs (a sample rate), ``fleetward.state``
names the output that becomes an input of the next frame (a recurrent state). State starts at zero
with each worker, so also after a swap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from edge_bridge.backends.backend import Array, Inference
from edge_bridge.backends.confidence import confidence_of
from edge_bridge.backends.model_input import ImageInput, image_input
from edge_bridge.errors import LoadFailedError
from fleetward.engines.onnx_face import Port
from fleetward.engines.recipe import ShapeRange

CONSTANTS_KEY = "fleetward.constants"
STATE_KEY = "fleetward.state"
DEFAULT_SAMPLES = 512
"""Samples of a warm-up frame where an audio model leaves its length open."""
MAX_SAMPLES = 65_536
"""The longest frame of audio that an engine is built for: 4 s at 16 kHz."""

_Described = TypeVar("_Described")

_ELEMENTS = ("float32", "float16", "float64", "uint8", "int32", "int64", "bool")


class ModelFeed:
    """The inputs of one model, from one frame to the next. The first input is the frame."""

    def __init__(
        self, inputs: Sequence[Port], outputs: Sequence[str], metadata: Mapping[str, str]
    ) -> None:
        """Raises LoadFailedError for what cannot be fed, or is described wrongly."""
        self._confidence = confidence_of(metadata, list(outputs))
        self._state_outputs = _described(metadata, STATE_KEY, dict[str, str])
        self._inputs = tuple(inputs)
        for port in inputs:
            _must_be_fed(port)
        frame, *further = inputs
        self._frame = frame
        self._image = _image_input(frame, metadata)
        constants = _described(metadata, CONSTANTS_KEY, dict[str, float])
        self._at_first = {port.name: _filled(port, constants.get(port.name, 0)) for port in further}
        self._further = dict(self._at_first)

    def sample(self) -> Array:
        """Black pixels [height, width, 3], or silence [samples]."""
        if self._image is not None:
            return np.zeros((self._image.height_px, self._image.width_px, 3), np.uint8)
        length = self._frame.shape[-1] if self._frame.shape else None
        return np.zeros(DEFAULT_SAMPLES if length is None else length, np.float32)

    def fed(self, frame: Array) -> dict[str, Array]:
        """Every input for one frame, by name; raises ValueError for a frame it cannot take."""
        return {self._frame.name: self._tensor(frame), **self._further}

    def inference(self, answers: dict[str, Array]) -> Inference:
        """What the model answered; its state is kept for the next frame. Raises ValueError."""
        for source, output in self._state_outputs.items():
            self._further[source] = answers[output]
        confidence = self._confidence
        sure = confidence.of(answers[confidence.output]) if confidence else None
        return Inference(answers, sure)

    def reset(self) -> None:
        """State is zero again; constants are what they were."""
        self._further = dict(self._at_first)

    def ranges(self) -> dict[str, ShapeRange]:
        """The shapes that inputs with free dimensions will have: one each, but for audio's length."""
        shapes = {name: array.shape for name, array in self.fed(self.sample()).items()}
        free = [port.name for port in self._inputs if None in port.shape]
        return {name: self._range(name, shapes[name]) for name in free}

    def _range(self, name: str, shape: tuple[int, ...]) -> ShapeRange:
        if name != self._frame.name or self._image is not None or self._frame.shape[-1] is not None:
            return ShapeRange(minimum=shape, optimum=shape, maximum=shape)
        leading = shape[:-1]
        return ShapeRange(
            minimum=(*leading, 1), optimum=shape, maximum=(*leading, max(shape[-1], MAX_SAMPLES))
        )

    def _tensor(self, frame: Array) -> Array:
        if self._image is not None:
            return self._image.tensor(frame).astype(self._frame.element, copy=False)
        leading = (1,) * (len(self._frame.shape) - frame.ndim)
        return frame.reshape(leading + frame.shape).astype(self._frame.element, copy=False)


def _image_input(frame: Port, metadata: Mapping[str, str]) -> ImageInput | None:
    if len(frame.shape) != 4:
        return None
    described = image_input(metadata, frame.name, frame.shape)
    if described.name != frame.name:
        raise LoadFailedError(
            f"the model's metadata describes input {described.name!r}, its first input is "
            f"{frame.name!r}. Correct it and push the model under a new version."
        )
    return described


def _must_be_fed(port: Port) -> None:
    if port.element not in _ELEMENTS:
        raise LoadFailedError(
            f"input {port.name!r} is {port.element}, this robot feeds {', '.join(_ELEMENTS)}. "
            "Export the model with another input type."
        )


def _filled(port: Port, value: float) -> Array:
    shape = [1 if side is None else side for side in port.shape]
    return np.full(math.prod(shape), value, port.element).reshape(shape)


def _described(metadata: Mapping[str, str], key: str, shape: type[_Described]) -> _Described:
    try:
        described: _Described = msgspec.json.decode(metadata.get(key, "{}"), type=shape)
    except msgspec.MsgspecError as error:
        raise LoadFailedError(
            f"the model's metadata {key!r} cannot be read: {error}. "
            "Correct it and push the model again under a new version."
        ) from error
    return described
