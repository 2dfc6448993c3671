"""What becomes of one frame at a worker, for whoever looks at results."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.workers.protocol import Inferred, Output
from edge_bridge.workers.slot import WorkerSlot
from edge_bridge.workers.ticket import Ticket
from fleetward.contracts.ids import Digest, ModelName


class InferenceDone(Struct, frozen=True, kw_only=True):
    """One frame's result. captured_ns counts since the epoch; confidence is 0..1 or None.

    latency_s: in the worker, pick-up to result; of a shadow, the processor time of that.
    perception_s: capture to the worker's pick-up.
    """

    frame: int
    digest: Digest
    captured_ns: int
    latency_s: float
    perception_s: float
    confidence: float | None
    error: str | None
    outputs_summary: dict[str, Output]
    pipeline: ModelName | None = None
    """Whose model it is; None: the robot's own pipeline."""


def done_by(slot: WorkerSlot, ticket: Ticket, inferred: Inferred) -> InferenceDone:
    """The worker's answer, with what the bridge knows of the frame and the model."""
    return InferenceDone(
        frame=ticket.frame,
        digest=slot.staged.digest,
        captured_ns=ticket.captured_ns,
        latency_s=inferred.latency_s,
        perception_s=inferred.perception_s,
        confidence=inferred.confidence,
        error=inferred.error,
        outputs_summary=inferred.outputs,
    )
