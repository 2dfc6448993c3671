"""ROS 2's images as frames: ``sensor_msgs/msg/Image`` of 8-bit colours and ``CompressedImage``.

A message is whatever has the fields of the type: rclpy's own class, or one made of a recording's schema.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from edge_bridge.frames import Frame

if TYPE_CHECKING:
    from PIL.Image import Image

RAW_MODES = {
    "rgb8": ("RGB", "RGB"),
    "bgr8": ("RGB", "BGR"),
    "rgba8": ("RGBA", "RGBA"),
    "bgra8": ("RGBA", "BGRA"),
    "mono8": ("L", "L"),
}
"""ROS encoding -> Pillow's mode, and the order of the bytes."""


REDUCING_GAP = 2.0
"""Large pictures are first shrunk by whole numbers, to not less than so many times their final size."""


def frame_of_image(message: Any, height_px: int, width_px: int) -> Frame:  # noqa: ANN401 (a class that ROS 2 generates)
    """The picture as an RGB frame of that size.

    Raises ValueError for an encoding that is no picture of colours or too few bytes, and what Pillow raises
    for a compressed picture that it cannot read.
    """
    from PIL.Image import Resampling

    picture = _picture(message)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    resized = picture.resize(
        (width_px, height_px), resample=Resampling.BILINEAR, reducing_gap=REDUCING_GAP
    )
    return Frame(resized.tobytes(), (height_px, width_px, 3))


def _picture(message: Any) -> Image:  # noqa: ANN401 (a class that ROS 2 generates)
    from PIL import Image

    if hasattr(message, "format"):
        return Image.open(io.BytesIO(message.data))
    if message.encoding not in RAW_MODES:
        raise ValueError(f"encoding {message.encoding!r} is none of {', '.join(sorted(RAW_MODES))}")
    mode, order = RAW_MODES[message.encoding]
    return Image.frombuffer(
        mode, (message.width, message.height), message.data, "raw", order, message.step, 1
    )
