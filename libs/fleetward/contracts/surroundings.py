"""What a decision about a rollout sees beside the rollout itself and what it was just told."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from fleetward.contracts.ids import RobotId


class SiteRoom(Struct, frozen=True, kw_only=True):
    """How far a site may be disturbed at this moment.

    floor: how many of its ``robots`` must stay in service; None: any number may be out of it.
    in_service: who was heard within its lease, serves a model, and is not on its way in another
    rollout. idle: who is known to serve nothing: to give it a model takes nobody out of service.
    closed: why its window is closed now, for people; empty while it is open or where there is none.
    opens_at: when it opens by itself; None: not before a person does something.
    """

    floor: int | None = None
    robots: int = 0
    in_service: frozenset[RobotId] = frozenset()
    idle: frozenset[RobotId] = frozenset()
    closed: str = ""
    opens_at: datetime | None = None


class Surroundings(Struct, frozen=True, kw_only=True):
    """Everything outside a rollout that a decision depends on; a site that is not named is free."""

    sites: dict[str, SiteRoom] = {}
    given_since: dict[RobotId, str] = {}
    """Robots of a rollout that ended which were given something newer since, and by whom."""


NOTHING_AROUND = Surroundings()
