"""From a swap to the first result of what was swapped in: the end of the trace that its target began."""

from __future__ import annotations

import time

from edge_bridge.workers.staged_model import StagedModel
from fleetward.bus.tracing import context_of, current_traceparent, tracer
from fleetward.contracts.ids import Digest, RobotId


class FirstFrame:
    """Of the newest swap alone."""

    def __init__(self, robot_id: RobotId) -> None:
        self._robot_id = robot_id
        self._awaited: tuple[Digest, str, int] | None = None
        """Digest, trace and start (unix ns) of a swap whose first result is still to come."""

    def await_of(self, model: StagedModel | None) -> None:
        """It begins to serve now."""
        if model is not None:
            self._awaited = (model.digest, current_traceparent(), time.time_ns())

    def result(self, digest: Digest, frame: int) -> None:
        """The worker answered a frame."""
        if self._awaited is None or self._awaited[0] != digest:
            return
        _, traceparent, started_ns = self._awaited
        self._awaited = None
        tracer().start_span(
            "bridge.first_frame",
            context=context_of(traceparent),
            start_time=started_ns,
            attributes={"robot_id": self._robot_id, "digest": digest, "frame": frame},
        ).end()
