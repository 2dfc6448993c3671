"""What a rollout would be, asked before anything of it happens."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import Digest, ModelRef, RobotId
from fleetward.contracts.members import Member
from fleetward.contracts.registry import Variant
from fleetward.contracts.rollouts import RolloutPolicy, RolloutRequested, Strategy

MAX_ROBOTS_NAMED = 50
"""Of one group: with ten thousand robots the reason and the number are what is read."""


class PlannedWave(Struct, frozen=True, kw_only=True):
    """Who gets the model together; ``sites`` counts them by their label ``site``.

    ``given``: which of the plan's ``variants`` each of the robots is given; empty without variants.
    """

    robots: tuple[RobotId, ...]
    sites: dict[str, int]
    given: tuple[int, ...] = ()


class RobotGroup(Struct, frozen=True, kw_only=True):
    """Robots of which the same is to be said; the first of them are ``named``."""

    reason: str
    robots: int
    named: tuple[RobotId, ...]


class PlanRollout(Event, frozen=True, kw_only=True):
    """Asks what would become of a request now. It is not kept, and nothing changes."""

    request: RolloutRequested


class RolloutPlanned(Event, frozen=True, kw_only=True):
    """The coordinator's answer: the plan that it would start now, or at ``begins_at``.

    ``refusal``: why it would refuse the request; then there are no waves, and no model where that is
    what is wrong. ``selected`` of ``enrolled`` robots answer the selector. ``left_out``: selected,
    and not in the plan. ``doubtful``: in the plan, with something to be known beforehand.
    """

    refusal: str = ""
    model: ModelRef | None = None
    digest: Digest | None = None
    variants: tuple[Variant, ...] = ()
    together: tuple[Member, ...] = ()
    strategy: Strategy
    policy: RolloutPolicy
    enrolled: int = 0
    selected: int = 0
    waves: tuple[PlannedWave, ...] = ()
    left_out: tuple[RobotGroup, ...] = ()
    doubtful: tuple[RobotGroup, ...] = ()
    begins_at: UtcTime | None = None
