"""Every state of an element and of an incident, against every kind of fact."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved, Severity
from fleetward.contracts.ids import AlertName, Digest, RobotId
from fleetward.rules.evaluate import Active, Phase, judge
from fleetward.rules.incidents import (
    Incident,
    Standing,
    advance,
    doubt,
    expect_proof,
    lose_sight,
    resolve,
    restore,
)
from testkit.telemetry import digest_of
from tests.unit.alerting.fleets import START, kinds

A, B = digest_of("a"), digest_of("b")
PENDING = Active(Phase.PENDING, since_ns=0, value=1.0)
FIRING = Active(Phase.FIRING, since_ns=0, fired_ns=10, value=1.0)
LEAVING = Active(Phase.FIRING, since_ns=0, fired_ns=10, gone_since_ns=15, value=1.0)


@pytest.mark.parametrize(
    ("before", "value", "phase"),
    [
        (None, None, None),
        (None, 2.0, Phase.PENDING),
        (PENDING, None, None),
        (PENDING, 2.0, Phase.FIRING),
        (FIRING, None, Phase.FIRING),
        (FIRING, 2.0, Phase.FIRING),
        (LEAVING, None, None),
        (LEAVING, 2.0, Phase.FIRING),
    ],
)
def test_each_element_state_meets_each_sample(
    before: Active | None, value: float | None, phase: Phase | None
) -> None:
    after = judge(before, value, 20, for_ns=10, keep_ns=5)
    assert (after.phase if after else None) is phase


def test_an_element_waits_for_its_for_and_no_longer() -> None:
    pending = judge(None, 1.0, 100, for_ns=10, keep_ns=0)
    assert judge(pending, 1.0, 109, for_ns=10, keep_ns=0).phase is Phase.PENDING  # type: ignore[union-attr]  # present
    assert judge(pending, 1.0, 110, for_ns=10, keep_ns=0).phase is Phase.FIRING  # type: ignore[union-attr]  # present


def test_without_for_an_element_fires_at_once_and_leaves_at_once() -> None:
    fired = judge(None, 1.0, 100, for_ns=0, keep_ns=0)
    assert fired is not None
    assert fired.phase is Phase.FIRING
    assert judge(fired, None, 101, for_ns=0, keep_ns=0) is None


def test_an_element_that_comes_back_while_kept_has_not_left() -> None:
    kept = judge(FIRING, None, 12, for_ns=10, keep_ns=5)
    back = judge(kept, 3.0, 14, for_ns=10, keep_ns=5)
    assert judge(back, None, 18, for_ns=10, keep_ns=5) is not None


def draft(digest: Digest | None = A) -> AlertFired:
    return AlertFired(
        robot_id=RobotId("r1"),
        alert=AlertName("Slow"),
        incident=0,
        severity=Severity.CRITICAL,
        value=1.0,
        expression="x > 0",
        digest=digest,
        pending_since=START,
        fired_at=START,
    )


def open_incident(number: int = 1, *, unproven: bool = False) -> Incident:
    fired = msgspec.structs.replace(draft(), incident=number)
    return Incident(number=number, standing=Standing.OPEN, fired=fired, unproven=unproven)


CLOSED = Incident(number=1, fired=open_incident().fired)
OPEN = open_incident()
DOUBTED = expect_proof(open_incident(unproven=True), 50)
UNKNOWN = expect_proof(lose_sight(OPEN, START).incident, 50)
FACTS = {
    "nothing": ((), ()),
    "still the same": ((draft(A),), ()),
    "again the same": ((draft(A),), (draft(A),)),
    "another model as well": ((draft(A), draft(B)), (draft(B),)),
    "another model since before": ((draft(B),), ()),
}
NEXT = ["r1:Slow:2:fired"]
TAKEN_OVER = ["r1:Slow:1:resolved", "r1:Slow:2:fired"]
ENDED = ["r1:Slow:1:resolved"]
TABLE = {
    ("closed", "nothing"): [],
    ("closed", "still the same"): NEXT,
    ("closed", "again the same"): NEXT,
    ("closed", "another model as well"): NEXT,
    ("closed", "another model since before"): NEXT,
    ("open", "nothing"): ENDED,
    ("open", "still the same"): [],
    ("open", "again the same"): [],
    ("open", "another model as well"): TAKEN_OVER,
    ("open", "another model since before"): TAKEN_OVER,
    ("doubted", "nothing"): [],
    ("doubted", "still the same"): [],
    ("doubted", "again the same"): [],
    ("doubted", "another model as well"): TAKEN_OVER,
    ("doubted", "another model since before"): TAKEN_OVER,
    ("unknown", "nothing"): [],
    ("unknown", "still the same"): NEXT,
    ("unknown", "again the same"): NEXT,
    ("unknown", "another model as well"): NEXT,
    ("unknown", "another model since before"): NEXT,
}
STATES = {"closed": CLOSED, "open": OPEN, "doubted": DOUBTED, "unknown": UNKNOWN}


@pytest.mark.parametrize(("state", "fact"), list(itertools.product(STATES, FACTS)))
def test_each_incident_state_meets_each_fact(state: str, fact: str) -> None:
    firing, newly = FACTS[fact]
    step = advance(STATES[state], firing, newly, 40)
    assert kinds(step.announcements) == TABLE[state, fact]
    assert step.incident.number == (2 if "r1:Slow:2:fired" in TABLE[state, fact] else 1)


@pytest.mark.parametrize("state", ["doubted", "unknown"])
def test_once_the_windows_are_fresh_absence_resolves(state: str) -> None:
    assert kinds(advance(STATES[state], (), (), 50).announcements) == ENDED


@pytest.mark.parametrize("state", STATES)
def test_losing_sight_makes_only_an_open_incident_unknown(state: str) -> None:
    step = lose_sight(STATES[state], START)
    expected = ["r1:Slow:1:became_unknown"] if state in {"open", "doubted"} else []
    assert kinds(step.announcements) == expected


def test_a_closed_incident_is_neither_resolved_again_nor_doubted() -> None:
    assert resolve(CLOSED, START).announcements == ()
    assert doubt(CLOSED) == CLOSED


@pytest.mark.parametrize(
    ("resolved", "unknown", "standing"),
    [
        (None, None, Standing.OPEN),
        (2, None, Standing.OPEN),
        (3, None, Standing.CLOSED),
        (None, 3, Standing.UNKNOWN),
        (None, 2, Standing.OPEN),
        (3, 3, Standing.CLOSED),
    ],
)
def test_after_a_restart_the_last_values_tell_how_an_incident_stands(
    resolved: int | None, unknown: int | None, standing: Standing
) -> None:
    robot, alert = RobotId("r1"), AlertName("Slow")
    restored = restore(
        [msgspec.structs.replace(draft(), incident=3)],
        [AlertResolved(robot_id=robot, alert=alert, incident=resolved, resolved_at=START)]
        if resolved
        else [],
        [AlertBecameUnknown(robot_id=robot, alert=alert, incident=unknown, unknown_since=START)]
        if unknown
        else [],
    )[robot, alert]
    assert restored.standing is standing
    assert restored.number == 3
    assert restored.unproven is (standing is not Standing.CLOSED)
