"""A frame as viewers get it: of many pixels, every so many-th."""

from __future__ import annotations

import math

from typing_extensions import Buffer

from edge_bridge.foxglove.wire import Picture
from edge_bridge.frames import FrameType

MAX_PIXELS = 640 * 480
"""A larger picture is thinned here: copying it costs the bridge time, and viewers a link."""
CHANNELS = 3


def picture(
    content: Buffer, shape: tuple[int, ...], dtype: FrameType, at_ns: int
) -> Picture | None:
    """A copy; None for what is no RGB image."""
    if dtype != "uint8" or len(shape) != CHANNELS or shape[2] != CHANNELS:
        return None
    step = math.ceil(math.sqrt(shape[0] * shape[1] / MAX_PIXELS))
    if step <= 1:
        return Picture(at_ns=at_ns, height=shape[0], width=shape[1], content=bytes(content))
    import numpy as np  # a bridge that nobody watches does without

    pixels = np.frombuffer(memoryview(content), f"V{CHANNELS}").reshape(shape[:2])
    thinned = pixels[::step, ::step]
    height, width = thinned.shape
    return Picture(at_ns=at_ns, height=height, width=width, content=thinned.tobytes())
