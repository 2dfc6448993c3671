"""What a model said of one frame, as JSON whose fields a plot or a table of Foxglove can name."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from edge_bridge.foxglove.wire import Result
from edge_bridge.ros2.results import OutputSaid, said

_NS_PER_S = 1_000_000_000
_NUMBER, _INTEGER, _TEXT = {"type": "number"}, {"type": "integer"}, {"type": "string"}
RESULT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "timestamp": {"type": "object", "properties": {"sec": _INTEGER, "nsec": _INTEGER}},
        "frame": _INTEGER,
        "pipeline": _TEXT,
        "digest": _TEXT,
        "latency_s": _NUMBER,
        "perception_s": _NUMBER,
        "confidence": _NUMBER,
        "error": _TEXT,
        "outputs": {"type": "object"},
    },
}


class Stamp(Struct, frozen=True):
    """Foxglove's."""

    sec: int
    nsec: int


class ResultShown(Struct, frozen=True, kw_only=True):
    """timestamp: that of the frame's picture. frame: the bridge's number of it; each pipeline counts its own.

    pipeline: the model's that has one of its own, else empty. The rest: as ``ros2.results.Result``.
    """

    timestamp: Stamp
    frame: int
    pipeline: str
    digest: str
    latency_s: float
    perception_s: float
    confidence: float | None
    error: str
    outputs: dict[str, OutputSaid]


def result_json(result: Result) -> bytes:
    """The message."""
    answer = result.answer
    return msgspec.json.encode(
        ResultShown(
            timestamp=Stamp(result.at_ns // _NS_PER_S, result.at_ns % _NS_PER_S),
            frame=answer.frame,
            pipeline=result.pipeline or "",
            digest=answer.digest,
            latency_s=answer.latency_s,
            perception_s=answer.perception_s,
            confidence=answer.confidence,
            error=answer.error,
            outputs={name: said(output) for name, output in answer.outputs.items()},
        )
    )
