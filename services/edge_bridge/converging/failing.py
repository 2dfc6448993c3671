"""A target that failed for good is reported and settled before anything else is begun."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timezone

from edge_bridge.converging import converge, outcome
from edge_bridge.converging.member import PipelineMember
from edge_bridge.converging.remembering import Change, change_all
from edge_bridge.converging.together import Together
from edge_bridge.errors import ActivationError
from fleetward.bus.logs import log
from fleetward.contracts.robots import ActivationFailed, RobotTarget

_logger = logging.getLogger(__name__)


class Failing:
    """Of one pipeline. A disk that does not keep it is asked again, and the target is not tried meanwhile."""

    def __init__(self, member: PipelineMember, together: Together) -> None:
        self._member = member
        self._together = together
        self._unwritten: tuple[RobotTarget, ActivationFailed] | None = None

    def fail(self, target: RobotTarget, problem: ActivationError) -> None:
        """To be written down next."""
        now = datetime.now(timezone.utc)
        log(_logger, "bridge.gave_up", level=logging.ERROR, reason=str(problem))
        report = outcome.failed(target, problem.stage, str(problem), now)
        self._unwritten = target, report

    async def write(self) -> None:
        """Write down what failed, if anything did; raises JournalError."""
        if self._unwritten is None:
            return
        await change_all([self._member.remembered], self._decide)
        target, _ = self._unwritten
        self._unwritten = None
        self._together.tell_failed(target)

    def _decide(self) -> Sequence[Change]:
        """A target that became the robot's own meanwhile is judged by its window."""
        remembered = self._member.remembered
        if self._unwritten is None or self._member.is_committed:
            return []
        target, report = self._unwritten
        if remembered.memory.target != target:
            return []
        return [Change(remembered, converge.give_up(remembered.memory), [report])]
