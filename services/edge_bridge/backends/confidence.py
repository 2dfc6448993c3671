"""How sure a model is of its answer, as the model's own metadata defines it.

Pure. ``fleetward.confidence`` in the ONNX ``metadata_props`` is JSON of Confidence; a model
without it reports none, and nobody judges it by its confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_bridge.errors import LoadFailedError

CONFIDENCE_KEY = "fleetward.confidence"


class Confidence(Struct, frozen=True, kw_only=True):
    """One number in 0..1 out of one output's scores; 0 when nothing was found."""

    output: str
    kind: Literal["max", "mean_above", "softmax_max"]
    threshold: float = 0.0

    def of(self, scores: npt.NDArray[Any]) -> float:
        """Reduce scores of any shape; raises ValueError when the answer is not finite."""
        found = self._reduced(scores)
        if not np.isfinite(found):
            raise ValueError(f"output {self.output!r} holds values that are not finite")
        return min(1.0, max(0.0, found))

    def _reduced(self, scores: npt.NDArray[Any]) -> float:
        if self.kind == "max":
            return float(scores.max(initial=0.0))
        if self.kind == "softmax_max":
            return float(1.0 / np.exp(scores - scores.max()).sum())
        above = scores[~(scores <= self.threshold)]  # keeps NaN, which must not pass for "nothing"
        return float(above.mean()) if above.size else 0.0


def confidence_of(metadata: Mapping[str, str], outputs: list[str]) -> Confidence | None:
    """What the metadata says, or None; raises LoadFailedError for a wrong description."""
    if CONFIDENCE_KEY not in metadata:
        return None
    try:
        confidence = msgspec.json.decode(metadata[CONFIDENCE_KEY], type=Confidence)
    except msgspec.MsgspecError as error:
        raise _wrong(f"cannot be read: {error}") from error
    if confidence.output not in outputs:
        raise _wrong(f"names output {confidence.output!r}, the model has {', '.join(outputs)}")
    return confidence


def _wrong(cause: str) -> LoadFailedError:
    return LoadFailedError(
        f"the model's metadata {CONFIDENCE_KEY!r} {cause}. "
        "Correct it and push the model again under a new version."
    )
