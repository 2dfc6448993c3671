"""All robots together: facts in, announcements out; no clock, no I/O.

Times arrive as arguments: ``now_s`` is monotonic, ``now`` is wall time for announcements that
no sample dates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from alerting.arrivals import Arrivals
from alerting.silence import Lease, Leases, SilenceLimits
from fleetward.contracts.alerts import ROBOT_SILENT, AlertFired, Severity
from fleetward.contracts.ids import AlertName, RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.rules.evaluate import RobotJudge
from fleetward.rules.incidents import (
    NEVER,
    Announcement,
    Incident,
    IncidentKey,
    Standing,
    Step,
    open_next,
    resolve,
)
from fleetward.rules.rulebook import Rulebook
from fleetward.rules.samples import FrameSamples

NANOSECONDS = 1_000_000_000


class FleetLimits(Struct, frozen=True, kw_only=True):
    """``lateness_s``: how long a gap in a robot's frames is waited for. ``lookback_s``: how old
    an instant selector's sample may be, Prometheus' 5 minutes by default."""

    lateness_s: float = 1.0
    lookback_s: float = 300.0
    silence: SilenceLimits = SilenceLimits()


class Fleet:
    """Every robot's judge, order of arrival and lease."""

    def __init__(
        self,
        rulebook: Rulebook,
        limits: FleetLimits,
        incidents: Mapping[IncidentKey, Incident],
        now_s: float,
    ) -> None:
        self._rulebook = rulebook
        self._limits = limits
        self._incidents = dict(incidents)
        self._labels: dict[RobotId, dict[str, str]] = {}
        self._judges: dict[RobotId, RobotJudge] = {}
        self._arrivals: dict[RobotId, Arrivals] = {}
        self.leases = Leases(limits.silence, now_s)

    def enrol(self, event: RobotEnrolled, now_s: float, *, known: bool) -> None:
        """A robot belongs to the fleet, its labels or lease changed, or it was taken out."""
        robot_id = event.robot_id
        if event.retired_at is not None:
            self.leases.forget(robot_id)
            return
        self.leases.enrol(robot_id, event.lease_s, now_s, known=known)
        silence = self._incidents.get((robot_id, ROBOT_SILENT), NEVER)
        first = robot_id not in self._labels
        if first and silence.standing is Standing.OPEN and silence.fired is not None:
            self.leases.remember_silent(robot_id, silence.fired.pending_since)
        changed = self._labels.get(robot_id) != event.labels
        self._labels[robot_id] = dict(event.labels)
        if changed and robot_id in self._judges:
            self._judges[robot_id].relabel(event.labels)

    def take(
        self, arrived: FrameSamples, stored_at: datetime, now: datetime, now_s: float
    ) -> list[Announcement]:
        """A frame came; ``stored_at`` is when the server stored it."""
        robot_id = arrived.frame.robot_id
        announcements: list[Announcement] = []
        if self.leases.heard_frame(robot_id, stored_at, now_s):
            announcements += self._end_silence(robot_id, now)
        if robot_id not in self._arrivals:
            self._arrivals[robot_id] = Arrivals(int(self._limits.lateness_s * NANOSECONDS))
        for ready in self._arrivals[robot_id].take(arrived, now_s):
            announcements += self._judge_of(robot_id).take(ready)
        return announcements

    def heard_live(self, robot_id: RobotId, now: datetime, now_s: float) -> list[Announcement]:
        """The robot checked in."""
        returned = self.leases.heard_live(robot_id, now_s)
        return self._end_silence(robot_id, now) if returned else []

    def release_late(self, now_s: float) -> list[Announcement]:
        """Judge frames whose gap was waited for long enough."""
        return [
            announcement
            for robot_id, arrivals in self._arrivals.items()
            for ready in arrivals.release(now_s)
            for announcement in self._judge_of(robot_id).take(ready)
        ]

    def fall_silent(self, robot_id: RobotId, now: datetime, now_s: float) -> list[Announcement]:
        """An expired lease, confirmed: what fired becomes unknown, and one RobotSilent.

        RobotSilent comes last: whoever dies in between sees the lease expire again.
        """
        lease = self.leases.call_silent(robot_id)
        since = lease.frame_at or now - timedelta(seconds=now_s - lease.heard_s)
        step = open_next(
            self._incidents.get((robot_id, ROBOT_SILENT), NEVER),
            self._silence(robot_id, lease, since, now, now_s),
        )
        unknown = self._judge_of(robot_id).fall_silent(since)
        return [*unknown, *self._store(robot_id, step)]

    def replace_rules(self, rulebook: Rulebook, now: datetime) -> list[Announcement]:
        """Judge by other rules from now on; what a removed rule had open is resolved."""
        removed = [rule for rule in self._rulebook.rules if rule.alert not in rulebook.by_alert]
        announcements: list[Announcement] = []
        for robot_id, judge in list(self._judges.items()):
            self._keep_incidents(robot_id, judge)
        for key, incident in list(self._incidents.items()):
            if key[1] in {rule.alert for rule in removed}:
                announcements += self._store(key[0], resolve(incident, now))
        self._rulebook = rulebook
        self._judges.clear()
        return announcements

    def failures(self) -> Iterable[tuple[RobotId, AlertName, str]]:
        """Rules that could not be judged on a robot's series, with the reason."""
        for robot_id, judge in self._judges.items():
            for alert, reason in judge.failures.items():
                yield robot_id, alert, reason

    def _judge_of(self, robot_id: RobotId) -> RobotJudge:
        judge = self._judges.get(robot_id)
        if judge is None:
            judge = RobotJudge(
                robot_id,
                self._labels.get(robot_id, {}),
                self._rulebook,
                int(self._limits.lookback_s * NANOSECONDS),
                self._incidents_of(robot_id),
            )
            self._judges[robot_id] = judge
        return judge

    def _incidents_of(self, robot_id: RobotId) -> dict[AlertName, Incident]:
        found = {}
        for rule in self._rulebook.rules:
            incident = self._incidents.get((robot_id, rule.alert))
            if incident is not None:
                found[rule.alert] = incident
        return found

    def _keep_incidents(self, robot_id: RobotId, judge: RobotJudge) -> None:
        judge.begin_afresh()
        for alert, incident in judge.incidents.items():
            self._incidents[robot_id, alert] = incident

    def _end_silence(self, robot_id: RobotId, now: datetime) -> list[Announcement]:
        silence = self._incidents.get((robot_id, ROBOT_SILENT), NEVER)
        return self._store(robot_id, resolve(silence, now))

    def _store(self, robot_id: RobotId, step: Step) -> list[Announcement]:
        if step.incident.fired is not None:
            self._incidents[robot_id, step.incident.fired.alert] = step.incident
        return list(step.announcements)

    def _silence(
        self, robot_id: RobotId, lease: Lease, since: datetime, now: datetime, now_s: float
    ) -> AlertFired:
        return AlertFired(
            robot_id=robot_id,
            alert=ROBOT_SILENT,
            incident=0,
            severity=Severity.WARNING,
            value=round(now_s - lease.heard_s, 3),
            expression=f"nothing heard for {lease.lease_s:g} s",
            summary=f"{robot_id} has been silent for more than {lease.lease_s:g} s",
            labels={**self._labels.get(robot_id, {}), "robot": robot_id},
            pending_since=since,
            fired_at=now,
        )
