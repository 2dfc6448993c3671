"""How a frame becomes a model's input, as the model's own metadata says it.

Pure: frames and descriptions in, arrays out. ``fleetward.input`` in the ONNX ``metadata_props`` is
JSON of ImageInput; a model without it gets RGB pixels scaled to 0..1 in its declared shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_bridge.errors import LoadFailedError

INPUT_KEY = "fleetward.input"
DEFAULT_SIDE_PX = 224
"""Height and width where the model leaves them open and describes nothing."""

Array = npt.NDArray[Any]  # Any: a frame is uint8 or float32, an input what the model declares


class ImageInput(Struct, frozen=True, kw_only=True):
    """The picture a model wants: value = (pixel * scale - mean) / std, per channel."""

    name: str
    height_px: int
    width_px: int
    channels: Literal["rgb", "bgr", "grey"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def tensor(self, frame: Array) -> Array:
        """uint8 [height, width, 3] to a float32 batch of one; resized when sizes differ."""
        pixels = _ordered(_resized(frame, self.height_px, self.width_px), self.channels)
        std = np.asarray(self.std, np.float32)
        tensor = pixels * (np.float32(self.scale) / std) - np.asarray(self.mean, np.float32) / std
        if self.layout == "nchw":
            tensor = tensor.transpose(2, 0, 1)
        return np.ascontiguousarray(tensor[np.newaxis], np.float32)


def image_input(
    metadata: Mapping[str, str], name: str, shape: Sequence[int | str | None]
) -> ImageInput:
    """What the metadata says, or else what input ``name`` of rank 4 and ``shape`` suggests.

    Raises LoadFailedError for a description that cannot be read.
    """
    if INPUT_KEY not in metadata:
        return _suggested(name, [side if isinstance(side, int) else None for side in shape])
    try:
        return msgspec.json.decode(metadata[INPUT_KEY], type=ImageInput)
    except msgspec.MsgspecError as error:
        raise LoadFailedError(
            f"the model's metadata {INPUT_KEY!r} cannot be read: {error}. "
            "Correct it and push the model again under a new version."
        ) from error


def _suggested(name: str, shape: list[int | None]) -> ImageInput:
    last_is_channels = shape[3] in (1, 3) and shape[1] not in (1, 3)
    height, width = (shape[1], shape[2]) if last_is_channels else (shape[2], shape[3])
    grey = (shape[3] if last_is_channels else shape[1]) == 1
    return ImageInput(
        name=name,
        height_px=height or DEFAULT_SIDE_PX,
        width_px=width or DEFAULT_SIDE_PX,
        channels="grey" if grey else "rgb",
        layout="nhwc" if last_is_channels else "nchw",
    )


def _ordered(pixels: Array, channels: Literal["rgb", "bgr", "grey"]) -> Array:
    if channels == "grey":
        grey: Array = pixels.mean(axis=2, keepdims=True)
        return grey
    return pixels if channels == "rgb" else pixels[:, :, ::-1]


def _resized(frame: Array, height_px: int, width_px: int) -> Array:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(f"the model wants an RGB picture, the frame is {frame.dtype}{frame.shape}")
    if frame.shape[:2] == (height_px, width_px):
        return frame
    from PIL import Image  # a worker whose frames fit never pays for it

    picture = Image.fromarray(frame).resize((width_px, height_px), Image.Resampling.BILINEAR)
    return np.asarray(picture)
