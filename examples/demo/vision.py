"""How a model says, in its own metadata, what picture it wants and how sure it is.

Both descriptions are JSON in the ONNX `metadata_props`, so they travel with the file, are covered
by its digest, and a robot needs no code of its own to serve a release that wants other numbers.
Pure: arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar, assert_never

import msgspec
import numpy as np
import numpy.typing as npt

from fleetward.contracts.errors import FleetwardError

INPUT_KEY = "fleetward.input"
CONFIDENCE_KEY = "fleetward.confidence"
LICENSE_KEY = "license"

Shape = TypeVar("Shape")


class ModelNotDescribedError(FleetwardError):
    """The model file does not say how to feed it, or says it wrongly."""

    def __init__(self, key: str, cause: str) -> None:
        super().__init__(
            f"model metadata {key!r} {cause}: write it into the ONNX metadata_props before pushing."
        )
        self.key = key


class FrameShapeError(FleetwardError):
    """A frame does not have the size or type the model asks for."""

    def __init__(self, shape: tuple[int, ...], dtype: str, wanted: tuple[int, int, int]) -> None:
        super().__init__(
            f"frame is {dtype}{list(shape)}, the model wants uint8{list(wanted)}: "
            "resize the camera's frames before submitting them."
        )


class ImageInput(msgspec.Struct, frozen=True, kw_only=True):
    """The picture a model wants: value = (pixel * scale - mean) / std, per channel."""

    name: str
    height_px: int
    width_px: int
    channels: Literal["rgb", "bgr"]
    layout: Literal["nchw", "nhwc"]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def tensor(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Turn an RGB uint8 [height_px, width_px, 3] frame into the float32 batch of one.

        Raises FrameShapeError for any other shape or type.
        """
        wanted = (self.height_px, self.width_px, 3)
        if frame.shape != wanted or frame.dtype != np.uint8:
            raise FrameShapeError(frame.shape, str(frame.dtype), wanted)
        ordered = frame if self.channels == "rgb" else frame[:, :, ::-1]
        scaled = ordered.astype(np.float32) * np.float32(self.scale)
        normal = (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        axes = (2, 0, 1) if self.layout == "nchw" else (0, 1, 2)
        return np.ascontiguousarray(normal.transpose(axes)[np.newaxis])


class Confidence(msgspec.Struct, frozen=True, kw_only=True):
    """How sure an output is, in [0, 1]; 0 when nothing was found."""

    output: str
    kind: Literal["max", "mean_above"]
    threshold: float = 0.0

    def of(self, scores: npt.NDArray[np.float32]) -> float:
        """Reduce scores in [0, 1], of any shape, to one number in [0, 1]."""
        match self.kind:
            case "max":
                return float(scores.max(initial=0.0))
            case "mean_above":
                found = scores[scores > self.threshold]
                return float(found.mean()) if found.size else 0.0
            case _:
                assert_never(self.kind)


def described(image: ImageInput, confidence: Confidence, license_id: str) -> dict[str, str]:
    """Return the metadata_props that describe a model; `license_id` is an SPDX identifier."""
    return {
        INPUT_KEY: msgspec.json.encode(image).decode(),
        CONFIDENCE_KEY: msgspec.json.encode(confidence).decode(),
        LICENSE_KEY: license_id,
    }


def image_input(metadata: Mapping[str, str]) -> ImageInput:
    """Read the picture a model wants. Raises ModelNotDescribedError."""
    return _decoded(metadata, INPUT_KEY, ImageInput)


def confidence(metadata: Mapping[str, str]) -> Confidence:
    """Read how a model's confidence is defined. Raises ModelNotDescribedError."""
    return _decoded(metadata, CONFIDENCE_KEY, Confidence)


def _decoded(metadata: Mapping[str, str], key: str, shape: type[Shape]) -> Shape:
    if key not in metadata:
        raise ModelNotDescribedError(key, "is missing")
    try:
        return msgspec.json.decode(metadata[key], type=shape)
    except msgspec.DecodeError as error:
        raise ModelNotDescribedError(key, f"cannot be read ({error})") from error
