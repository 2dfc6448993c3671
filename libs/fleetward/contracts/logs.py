"""Severe records of robots' logs, said as they come; all records come in segments (``contracts.segments``)."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId


class SevereRecord(Struct, frozen=True, kw_only=True):
    """A record of at least a warning. ``line``: JSON, as in its segment, where it has the same ``number``."""

    number: int
    line: str


class SevereLogged(Event, frozen=True, kw_only=True):
    """What went wrong on a robot just now. ``unsaid``: how many more there were, too many to be said at once.

    ``clock_offset_s``: the hub's clock minus the robot's, by which the records' times are; None when the robot
    could not tell.
    """

    robot_id: RobotId
    records: tuple[SevereRecord, ...] = ()
    unsaid: int = 0
    clock_offset_s: float | None = None
