"""What became of an alert on a robot: closed, open or unknown, counted so that nothing repeats.

An incident belongs to one robot, one alert and one model digest. When another model's samples
begin to break the same rule, the incident ends and the next one names that model: whoever
watches a rollout must hear which model does badly.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TypeAlias

import msgspec
from msgspec import Struct

from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved
from fleetward.contracts.ids import AlertName, RobotId

AlertEvent: TypeAlias = AlertFired | AlertResolved | AlertBecameUnknown
IncidentKey: TypeAlias = tuple[RobotId, AlertName]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_KINDS = {AlertFired: "fired", AlertResolved: "resolved", AlertBecameUnknown: "became_unknown"}


class Standing(enum.Enum):
    """How an incident stands."""

    CLOSED = "closed"
    OPEN = "open"
    UNKNOWN = "unknown"


class Announcement(Struct, frozen=True):
    """A fact to publish, with the incident's first fact so that a notice can be complete."""

    event: AlertEvent
    fired: AlertFired

    @property
    def id(self) -> str:
        """The same for the same fact after any crash: duplicates are recognised by it."""
        event = self.event
        return f"{event.robot_id}:{event.alert}:{event.incident}:{_KINDS[type(event)]}"


class Incident(Struct, frozen=True, kw_only=True):
    """The newest incident of one robot and alert.

    ``unproven``: it was read back after a restart or the robot returned from silence, so only
    fresh samples may say how it stands; until ``settles_at_ns`` their absence proves nothing.
    """

    number: int = 0
    standing: Standing = Standing.CLOSED
    fired: AlertFired | None = None
    unproven: bool = False
    settles_at_ns: int | None = None


class Step(Struct, frozen=True):
    """The incident afterwards and what to announce."""

    incident: Incident
    announcements: tuple[Announcement, ...] = ()


NEVER = Incident()


def advance(
    incident: Incident, firing: tuple[AlertFired, ...], newly: tuple[AlertFired, ...], at_ns: int
) -> Step:
    """The incident after one evaluation.

    ``firing``: a draft for each element that fires (its number is still 0), steadiest first;
    ``newly``: those of them that began to at this evaluation.
    """
    match incident.standing:
        case Standing.CLOSED:
            return open_next(incident, firing[0]) if firing else Step(incident)
        case Standing.UNKNOWN:
            return open_next(incident, firing[0]) if firing else _settle(incident, at_ns)
        case Standing.OPEN:
            return _advance_open(incident, firing, newly, at_ns)


def _advance_open(
    incident: Incident, firing: tuple[AlertFired, ...], newly: tuple[AlertFired, ...], at_ns: int
) -> Step:
    digest = None if incident.fired is None else incident.fired.digest
    others = [draft for draft in newly if draft.digest != digest]
    if others:
        return _replace(incident, others[0], at_ns)
    if any(draft.digest == digest for draft in firing):
        return Step(msgspec.structs.replace(incident, unproven=False, settles_at_ns=None))
    if firing:
        return _replace(incident, firing[0], at_ns)
    return _settle(incident, at_ns)


def open_next(incident: Incident, draft: AlertFired) -> Step:
    """A new incident begins."""
    fired = msgspec.structs.replace(draft, incident=incident.number + 1)
    opened = Incident(number=fired.incident, standing=Standing.OPEN, fired=fired)
    return Step(opened, (Announcement(fired, fired),))


def resolve(incident: Incident, at: datetime) -> Step:
    """The incident ends, seen on fresh samples."""
    if incident.standing is Standing.CLOSED or incident.fired is None:
        return Step(incident)
    fired = incident.fired
    resolved = AlertResolved(
        robot_id=fired.robot_id, alert=fired.alert, incident=incident.number, resolved_at=at
    )
    closed = Incident(number=incident.number, fired=fired)
    return Step(closed, (Announcement(resolved, fired),))


def lose_sight(incident: Incident, since: datetime) -> Step:
    """The robot fell silent: an open incident becomes unknown, never resolved."""
    if incident.standing is not Standing.OPEN or incident.fired is None:
        return Step(incident)
    fired = incident.fired
    unknown = AlertBecameUnknown(
        robot_id=fired.robot_id, alert=fired.alert, incident=incident.number, unknown_since=since
    )
    lost = Incident(number=incident.number, standing=Standing.UNKNOWN, fired=fired, unproven=True)
    return Step(lost, (Announcement(unknown, fired),))


def doubt(incident: Incident) -> Incident:
    """What was known rests on samples that are gone: fresh ones decide."""
    if incident.standing is Standing.CLOSED:
        return incident
    return msgspec.structs.replace(incident, unproven=True, settles_at_ns=None)


def expect_proof(incident: Incident, at_ns: int) -> Incident:
    """From ``at_ns`` on, the absence of a breach in fresh samples resolves the incident."""
    if not incident.unproven or (
        incident.settles_at_ns is not None and incident.settles_at_ns <= at_ns
    ):
        return incident
    return msgspec.structs.replace(incident, settles_at_ns=at_ns)


def restore(
    fired: Iterable[AlertFired],
    resolved: Iterable[AlertResolved],
    unknown: Iterable[AlertBecameUnknown],
) -> dict[IncidentKey, Incident]:
    """Every incident as the last values on the bus tell it."""
    ended = {(event.robot_id, event.alert): event.incident for event in resolved}
    lost = {(event.robot_id, event.alert): event.incident for event in unknown}
    return {
        (event.robot_id, event.alert): _restored(
            event,
            ended.get((event.robot_id, event.alert), 0),
            lost.get((event.robot_id, event.alert), 0),
        )
        for event in fired
    }


def utc(at_ns: int) -> datetime:
    """Unix nanoseconds as a UTC time, to the microsecond."""
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def _restored(fired: AlertFired, ended: int, lost: int) -> Incident:
    if ended >= fired.incident:
        return Incident(number=max(ended, fired.incident), fired=fired)
    standing = Standing.UNKNOWN if lost >= fired.incident else Standing.OPEN
    return Incident(number=fired.incident, standing=standing, fired=fired, unproven=True)


def _replace(incident: Incident, draft: AlertFired, at_ns: int) -> Step:
    ended = resolve(incident, utc(at_ns))
    opened = open_next(ended.incident, draft)
    return Step(opened.incident, ended.announcements + opened.announcements)


def _settle(incident: Incident, at_ns: int) -> Step:
    if incident.unproven and (incident.settles_at_ns is None or at_ns < incident.settles_at_ns):
        return Step(incident)
    return resolve(incident, utc(at_ns))
