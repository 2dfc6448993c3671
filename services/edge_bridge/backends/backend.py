"""The small interface behind which an inference runtime hides: load, infer, reset.

A backend lives and ends with its worker process; there is no unload, because only the end of a
process surely returns a runtime's memory.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy.typing as npt
from msgspec import Struct

Array = npt.NDArray[Any]  # Any: frames and outputs are of whatever type the model declares


class Inference(Struct, frozen=True):
    """What the model answered. confidence: 0 to 1, or None when the model defines none."""

    outputs: dict[str, Array]
    confidence: float | None


class Backend(Protocol):
    """One loaded model."""

    def sample(self) -> Array:
        """An empty frame of the shape and type the model is happiest with, to warm up on."""
        ...

    def infer(self, frame: Array) -> Inference:
        """Answer one frame; raises whatever the runtime raises for a frame it cannot take."""
        ...

    def reset(self) -> None:
        """Forget what earlier frames left behind, as recurrent state."""
        ...
