"""One decision on a rollout: what it was made from, what it does, and what must still be so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from fleetward.bus.batch import Write
from fleetward.contracts.decisions import Given
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.decision_log import given, within_limit
from rollout_coordinator.fold import Folded, Told, decided
from rollout_coordinator.prepared import Prepared
from rollout_coordinator.sites import Around, Sites
from rollout_coordinator.step import Step


class Decision(Struct, frozen=True):
    """Made on ``before`` at ``now``. ready: it only has to be written."""

    before: Rollout
    made: Folded
    now: datetime
    around: Around
    ready: Prepared | None = None

    @property
    def step(self) -> Step:
        """What it does."""
        return self.made.step

    def given(self) -> Given:
        """What it was made from, for the log."""
        return given(self.made.mattered, self.around.surroundings)

    def rows(self) -> list[Write]:
        """The rows of sites that change with it."""
        return self.around.moved_by(self.step.rollout)


async def decision_on(
    rollout: Rollout, told: Sequence[Told], sites: Sites, now: datetime
) -> Decision:
    """What these facts, or as many of them as one decision may take in, change; raises BusError."""
    around = await sites.around(rollout, now)
    return Decision(
        rollout, decided(rollout, within_limit(told), now, around.surroundings), now, around
    )
