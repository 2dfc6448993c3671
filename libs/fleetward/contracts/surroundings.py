"""What a decision about a rollout sees beside the rollout itself and what it was just told."""

from __future__ import annotations

from msgspec import Struct


class SiteRoom(Struct, frozen=True, kw_only=True):
    """How far a site may be disturbed at this moment.

    free: how many more of its robots may be out of service, by its floor and by what other rollouts
    and failures hold already; None: it has no floor. closed: why its window is closed now, for
    people; empty while it is open or where there is none.
    """

    free: int | None = None
    closed: str = ""


class Surroundings(Struct, frozen=True, kw_only=True):
    """Everything outside a rollout that a decision depends on; a site that is not named is free."""

    sites: dict[str, SiteRoom] = {}


NOTHING_AROUND = Surroundings()
