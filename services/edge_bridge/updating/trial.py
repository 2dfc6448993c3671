"""Whether a release on trial was seen to do what a bridge is for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

PATIENCE_S = 10.0
"""How long a robot that sees few frames, or none, is watched before those count as enough."""


class SeenPipeline(Struct, frozen=True, kw_only=True):
    """One model's place. model: what has to serve there, empty: nothing had. Frames since it serves."""

    model: str
    serves: bool
    captured: int = 0
    served: int = 0
    failed: int = 0


class Seen(Struct, frozen=True, kw_only=True):
    """What a bridge did since it started, for_s ago it was first without anything to wait for but frames."""

    hub_is_up: bool
    was_heard: bool
    """The hub has acknowledged a check-in of this run."""
    pipelines: tuple[SeenPipeline, ...] = ()
    for_s: float = 0.0


def missing(seen: Seen) -> str:
    """What has to be so before frames count; empty: nothing is missing."""
    for pipeline in seen.pipelines:
        if pipeline.model and not pipeline.serves:
            return f"{pipeline.model} does not serve yet"
    if not seen.hub_is_up:
        return "the hub is not reached"
    return "" if seen.was_heard else "the hub has not acknowledged a check-in"


def waits_for(seen: Seen, inferences: int) -> str:
    """Why the release is not proved yet, given how many good inferences are wanted; empty: it is."""
    reason = missing(seen)
    if reason:
        return reason
    for pipeline in seen.pipelines:
        if pipeline.model and not _is_enough(pipeline, inferences, seen.for_s):
            return (
                f"{pipeline.model} answered {pipeline.served} of {pipeline.captured} frames, and failed on "
                f"{pipeline.failed}; {inferences} good answers are wanted"
            )
    return ""


def inferences(pipelines: Sequence[SeenPipeline]) -> int:
    """Good answers in all."""
    return sum(pipeline.served for pipeline in pipelines)


def _is_enough(pipeline: SeenPipeline, wanted: int, for_s: float) -> bool:
    if pipeline.served >= wanted:
        return pipeline.failed <= pipeline.served
    few = pipeline.captured < wanted and pipeline.failed == 0
    return few and for_s >= PATIENCE_S and (pipeline.served > 0 or pipeline.captured == 0)
