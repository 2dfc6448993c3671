"""How it went with one host, for people and for machines."""

from __future__ import annotations

import enum
from collections.abc import Callable

from msgspec import Struct

from fleetward.enrolment.destination import Destination
from fleetward.enrolment.found import Found


class Outcome(str, enum.Enum):
    """How it went with one robot."""

    DONE = "done"
    UNCHANGED = "unchanged"
    PLANNED = "planned"
    FAILED = "failed"


class Result(Struct, frozen=True, kw_only=True):
    """What there is to say about one host. changes: what was done, in a dry run what would be."""

    host: Destination
    outcome: Outcome
    robot: str = ""
    changes: tuple[str, ...] = ()
    host_key: str = ""
    """Its fingerprint."""
    found: Found = Found()
    reason: str = ""


Told = Callable[[int, int, str], None]
"""Steps done, steps in all, and the one that is being done."""
