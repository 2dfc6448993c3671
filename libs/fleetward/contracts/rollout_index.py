"""Which rollouts have not ended, and which requests never became one."""

from __future__ import annotations

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import RolloutId


class OpenRollouts(Event, frozen=True, kw_only=True):
    """Which rollouts have not ended: written with each start and end, compared and set.

    So nobody reads every rollout there ever was to find the few that matter, and no two that are
    planned at the same time can both believe that a robot is free.
    """

    rollouts: tuple[RolloutId, ...] = ()


class RolloutRefused(Event, frozen=True, kw_only=True):
    """A request that cannot become a rollout: nothing was changed; the reason says what to do."""

    rollout_id: RolloutId
    reason: str
    refused_at: UtcTime
