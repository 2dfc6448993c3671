"""Judges one robot against every rule as its samples arrive; event time, no clock.

An element of a rule's result is inactive, pending or firing, as in Prometheus: pending until it
was there for ``for``, then firing until it is gone for ``keep_firing_for``. Each frame is one
evaluation, at the time of its newest sample.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.errors import InvalidIdError
from fleetward.contracts.ids import AlertName, Digest, RobotId, digest
from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE, Series
from fleetward.rules.incidents import (
    NEVER,
    Announcement,
    Incident,
    Standing,
    Step,
    advance,
    doubt,
    expect_proof,
    lose_sight,
    resolve,
    utc,
)
from fleetward.rules.promql import ROBOT_LABEL, Labels
from fleetward.rules.rulebook import Rule, Rulebook
from fleetward.rules.samples import FrameSamples, label_of, metric_of
from fleetward.rules.vectors import AmbiguousMatchError, Moment, vector
from fleetward.rules.windows import RobotSamples

CLOCK_STEP_NS = 1_000_000_000
"""A robot whose event time goes back further than this had its clock set: it starts afresh."""
MAX_ELEMENTS_PER_RULE = 64
MAX_REMEMBERED_SERIES = 1024


class Phase(enum.Enum):
    """Where an active element stands."""

    PENDING = "pending"
    FIRING = "firing"


class Active(Struct, frozen=True):
    """An element that is pending or firing; inactive ones are not kept."""

    phase: Phase
    since_ns: int
    fired_ns: int = 0
    gone_since_ns: int | None = None
    value: float = 0.0


def judge(
    active: Active | None, value: float | None, at_ns: int, *, for_ns: int, keep_ns: int
) -> Active | None:
    """The element after an evaluation that gave it ``value``, or None when it was absent."""
    if value is not None:
        since_ns = at_ns if active is None else active.since_ns
        if active is not None and active.phase is Phase.FIRING:
            return Active(Phase.FIRING, since_ns, active.fired_ns, None, value)
        if at_ns - since_ns >= for_ns:
            return Active(Phase.FIRING, since_ns, at_ns, None, value)
        return Active(Phase.PENDING, since_ns, 0, None, value)
    if active is None or active.phase is Phase.PENDING:
        return None
    gone_since_ns = at_ns if active.gone_since_ns is None else active.gone_since_ns
    if at_ns - gone_since_ns >= keep_ns:
        return None
    return Active(Phase.FIRING, active.since_ns, active.fired_ns, gone_since_ns, active.value)


class RobotJudge:
    """One robot's samples, active elements and incidents."""

    def __init__(
        self,
        robot_id: RobotId,
        labels: Mapping[str, str],
        rulebook: Rulebook,
        lookback_ns: int,
        incidents: Mapping[AlertName, Incident],
    ) -> None:
        self.robot_id = robot_id
        self.labels = dict(labels)
        self.incidents = dict(incidents)
        self.failures: dict[AlertName, str] = {}
        """Why a rule could not be judged on this robot's series; its incident stays as it was."""
        self._rulebook = rulebook
        self._lookback_ns = lookback_ns
        self._samples = RobotSamples(rulebook.keep_ns)
        self._active: dict[AlertName, dict[Labels, Active]] = {}
        self._series: dict[tuple[str, Labels], Labels] = {}
        self._at_ns = 0

    def take(self, arrived: FrameSamples) -> tuple[Announcement, ...]:
        """Add a frame's samples and judge every rule that they, or time, may change."""
        if arrived.ended_at_ns < self._at_ns - CLOCK_STEP_NS:
            self.begin_afresh()
            self._at_ns = arrived.ended_at_ns
        self._at_ns = max(self._at_ns, arrived.ended_at_ns)
        touched = self._add(arrived)
        announcements: list[Announcement] = []
        for rule in self._rulebook.rules:
            if self._concerns(rule, touched):
                announcements += self._judge(rule, fresh=bool(rule.metrics & touched))
        return tuple(announcements)

    def fall_silent(self, since: datetime) -> tuple[Announcement, ...]:
        """Nothing is known since then: open incidents become unknown, pending ones are dropped."""
        steps = [
            (rule.alert, lose_sight(self._incident(rule), since)) for rule in self._rulebook.rules
        ]
        self.begin_afresh()
        for alert, step in steps:
            self.incidents[alert] = step.incident
        return tuple(one for _, step in steps for one in step.announcements)

    def begin_afresh(self) -> None:
        """Forget samples and pending elements; open incidents wait for fresh proof."""
        self._samples.clear()
        self._active.clear()
        self.incidents = {alert: doubt(incident) for alert, incident in self.incidents.items()}

    def relabel(self, labels: Mapping[str, str]) -> None:
        """The robot was enrolled again with other labels, which its series carry."""
        self.labels = dict(labels)
        self._series.clear()
        self.begin_afresh()

    def followed(
        self, rulebook: Rulebook, lookback_ns: int
    ) -> tuple[RobotJudge, tuple[Announcement, ...]]:
        """This robot's judge by other rules: samples count anew, and what a removed rule had open ends."""
        self.begin_afresh()
        gone = [alert for alert in self.incidents if alert not in rulebook.by_alert]
        steps = [resolve(self.incidents.pop(alert), utc(self._at_ns)) for alert in gone]
        judge = RobotJudge(self.robot_id, self.labels, rulebook, lookback_ns, self.incidents)
        judge._at_ns = self._at_ns
        return judge, tuple(one for step in steps for one in step.announcements)

    def _incident(self, rule: Rule) -> Incident:
        return self.incidents.get(rule.alert, NEVER)

    def _concerns(self, rule: Rule, touched: frozenset[str]) -> bool:
        standing = self._incident(rule).standing
        return (
            bool(rule.metrics & touched)
            or bool(self._active.get(rule.alert))
            or standing is not Standing.CLOSED
        )

    def _add(self, arrived: FrameSamples) -> frozenset[str]:
        touched = set()
        for sample in arrived.samples:
            metric = metric_of(sample.series.signal)
            if metric in self._rulebook.keep_ns:
                touched.add(metric)
                labels = self._labels_of(sample.series)
                self._samples.add(metric, labels, sample.at_ns, sample.value)
        return frozenset(touched)

    def _labels_of(self, series: Series) -> Labels:
        """The robot's labels and the series' attributes; the robot's own cannot be overwritten."""
        key = (series.signal, tuple(sorted(series.attributes.items())))
        known = self._series.get(key)
        if known is None:
            labels = {label_of(name): value for name, value in self.labels.items()}
            labels[ROBOT_LABEL] = self.robot_id
            for attribute, value in series.attributes.items():
                name = label_of(attribute)
                labels[f"exported_{name}" if name in labels else name] = value
            known = tuple(sorted((name, value) for name, value in labels.items() if value))
            if len(self._series) >= MAX_REMEMBERED_SERIES:
                self._series.clear()
            self._series[key] = known
        return known

    def _judge(self, rule: Rule, *, fresh: bool) -> tuple[Announcement, ...]:
        incident = self._proof_due(rule, fresh=fresh)
        for_ns = 0 if incident.unproven else rule.for_ns
        before = self._active.get(rule.alert, {})
        try:
            values = self._values(rule)
        except AmbiguousMatchError as error:
            self.failures[rule.alert] = str(error)
            return ()
        self.failures.pop(rule.alert, None)
        after: dict[Labels, Active] = {}
        for labels in [*values, *(labels for labels in before if labels not in values)]:
            active = judge(
                before.get(labels),
                values.get(labels),
                self._at_ns,
                for_ns=for_ns,
                keep_ns=rule.keep_firing_for_ns,
            )
            if active is not None:
                after[labels] = active
        self._active[rule.alert] = after
        step = self._announce(rule, incident, after)
        self.incidents[rule.alert] = step.incident
        return step.announcements

    def _values(self, rule: Rule) -> dict[Labels, float]:
        moment = Moment(self._samples, self._at_ns, self._lookback_ns)
        elements = sorted(vector(rule.expression, moment))[:MAX_ELEMENTS_PER_RULE]
        return dict(elements)

    def _proof_due(self, rule: Rule, *, fresh: bool) -> Incident:
        incident = self._incident(rule)
        if not incident.unproven:
            return incident
        wait_ns = rule.longest_range_ns if fresh else self._lookback_ns
        return expect_proof(incident, self._at_ns + wait_ns)

    def _announce(self, rule: Rule, incident: Incident, actives: dict[Labels, Active]) -> Step:
        firing = sorted(
            (active.fired_ns, labels)
            for labels, active in actives.items()
            if active.phase is Phase.FIRING
        )
        if not firing and incident.standing is Standing.CLOSED:
            return Step(incident)
        drafts = [(at, self._draft(rule, labels, actives[labels])) for at, labels in firing]
        newly = tuple(draft for at, draft in drafts if at == self._at_ns)
        return advance(incident, tuple(draft for _, draft in drafts), newly, self._at_ns)

    def _draft(self, rule: Rule, labels: Labels, active: Active) -> AlertFired:
        named = dict(labels)
        own = {name: text.expand(named, active.value) for name, text in rule.labels.items()}
        annotations = {
            name: text.expand(named, active.value) for name, text in rule.annotations.items()
        }
        return AlertFired(
            robot_id=self.robot_id,
            alert=rule.alert,
            incident=0,
            severity=rule.severity,
            value=active.value,
            expression=rule.text,
            summary=annotations.get("summary", annotations.get("description", "")),
            labels=named | own,
            annotations=annotations,
            digest=_digest_in(named),
            pending_since=utc(active.since_ns),
            fired_at=utc(active.fired_ns),
        )


def _digest_in(labels: Mapping[str, str]) -> Digest | None:
    try:
        return digest(labels.get(DIGEST_ATTRIBUTE, ""))
    except InvalidIdError:
        return None
