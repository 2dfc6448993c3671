"""The rollouts that are open at one moment, and what one that begins does to the others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from fleetward.bus.stored_rollouts import KeptRollout
from fleetward.contracts.decisions import Given
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.surroundings import NOTHING_AROUND
from rollout_coordinator.decision_log import given
from rollout_coordinator.step import Step, Superseded
from rollout_coordinator.superseding import superseded

NOTHING_GIVEN = Given()


class Opened(Struct, frozen=True):
    """The rollouts that facts still change, and the sequence of their index to compare and set by."""

    kept: tuple[KeptRollout, ...]
    sequence: int

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        """Without their sequences."""
        return tuple(each.event for each in self.kept)


class Other(Struct, frozen=True):
    """What a rollout that begins does to another one, which must not have moved meanwhile."""

    step: Step
    current: KeptRollout
    given: Given = NOTHING_GIVEN


def others_of(opened: Opened, told: Mapping[RolloutId, Superseded], now: datetime) -> list[Other]:
    """What open rollouts become whose robots a newer one takes."""
    return [
        Other(superseded(kept.event, lost, now), kept, given([(lost, now)], NOTHING_AROUND))
        for kept in opened.kept
        if (lost := told.get(kept.event.rollout_id)) is not None
    ]
