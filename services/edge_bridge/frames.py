"""What a frame is: the pixels or samples of one instant, of a known shape, in row order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

from msgspec import Struct
from typing_extensions import Buffer

from edge_bridge.errors import FrameRefusedError

FrameType = Literal["uint8", "float32"]

ITEM_BYTES: dict[str, int] = {"uint8": 1, "float32": 4}
_FORMATS: dict[str, FrameType] = {"B": "uint8", "f": "float32"}


class Frame(Struct, frozen=True):
    """content: contiguous bytes of ``shape``. Images are RGB uint8 [height, width, 3]; audio is
    float32 [samples] from -1 to 1."""

    content: Buffer
    shape: tuple[int, ...]
    dtype: FrameType = "uint8"

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * ITEM_BYTES[self.dtype]


FrameSink: TypeAlias = Callable[[Frame], "int | None"]
"""Takes a frame without waiting, on the event loop's thread, and copies what it keeps. Answers with the
id that the frame's result will have; None before the first model serves."""


def frame_of(array: Buffer) -> Frame:
    """The frame in a contiguous uint8 or float32 array, not copied; raises FrameRefusedError."""
    view = memoryview(array)
    dtype = _FORMATS.get(view.format)
    shape = view.shape or ()
    if dtype is None or not shape or not view.c_contiguous or view.nbytes == 0:
        raise FrameRefusedError(
            f"a frame of format {view.format!r} and shape {shape} cannot be served: "
            "give a non-empty, contiguous array of uint8 (images) or float32 (audio)."
        )
    return Frame(view.cast("B"), shape, dtype)
