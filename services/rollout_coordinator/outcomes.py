"""What becomes of a decision once it is written: it is noted, told in the log, and may go on at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from fleetward.bus.logs import log
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import MAX_TARGETS_PER_STEP, Rollout
from rollout_coordinator.fold import Told
from rollout_coordinator.interest import Interest
from rollout_coordinator.step import Step, Tick

_logger = logging.getLogger(__name__)


class Outcomes:
    """Of one replica's decisions."""

    def __init__(self, interest: Interest, now: Callable[[], datetime]) -> None:
        self._interest = interest
        self._now = now
        self._cut_short: set[RolloutId] = set()

    def seen(self, rollout: Rollout) -> None:
        """It stands otherwise than was thought here."""
        self._interest.note(rollout)

    def written(self, step: Step) -> None:
        """``step`` is in the stream."""
        self._interest.note(step.rollout)
        if len(step.targets) == MAX_TARGETS_PER_STEP:
            self._cut_short.add(step.rollout.rollout_id)
        for event in step.events:
            log(
                _logger,
                "rollout.decided",
                rollout=step.rollout.rollout_id,
                fact=type(event).__name__,
                state=step.rollout.state.value,
                reason=step.rollout.reason,
                targets=len(step.targets),
            )

    def rest(self, rollout_id: RolloutId) -> Sequence[Told]:
        """A decision that wrote as many targets as one may goes on at once, and not with the clock."""
        if rollout_id not in self._cut_short:
            return ()
        self._cut_short.discard(rollout_id)
        now = self._now()
        return [(Tick(listening_since=now), now)]
