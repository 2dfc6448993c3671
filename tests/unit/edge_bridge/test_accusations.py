"""Which alerts are held against which model."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from edge_bridge.converging.accusations import Accusations
from fleetward.contracts.alerts import AlertFired, AlertResolved, Severity
from fleetward.contracts.ids import AlertName, Digest, RobotId

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
ROBOT, SLOW, HOT = RobotId("r1"), AlertName("Slow"), AlertName("Hot")
GREEN, BLUE = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)


def fired(
    alert: AlertName = SLOW,
    digest: Digest | None = GREEN,
    severity: Severity = Severity.CRITICAL,
    summary: str = "0.3 s",
) -> AlertFired:
    return AlertFired(
        robot_id=ROBOT,
        alert=alert,
        incident=1,
        severity=severity,
        value=0.3,
        expression="x > 0.1",
        summary=summary,
        digest=digest,
        pending_since=NOW,
        fired_at=NOW,
    )


def resolved(alert: AlertName = SLOW) -> AlertResolved:
    return AlertResolved(robot_id=ROBOT, alert=alert, incident=1, resolved_at=NOW)


def serving(digest: Digest = GREEN) -> Accusations:
    accusations = Accusations()
    accusations.begin(digest, is_new=True)
    return accusations


def test_a_model_is_accused_by_the_name_of_the_rule_that_its_samples_break() -> None:
    accusations = serving()
    accusations.heard(fired())
    assert accusations.against(GREEN) == "rule Slow: 0.3 s"
    assert accusations.against(BLUE) is None
    accusations.heard(fired(summary=""))
    assert accusations.against(GREEN) == "rule Slow: x > 0.1"


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.INFO])
def test_only_a_critical_rule_accuses(severity: Severity) -> None:
    accusations = serving()
    accusations.heard(fired(severity=severity))
    assert accusations.against(GREEN) is None


def test_what_ended_accuses_nobody_and_the_rest_still_does() -> None:
    accusations = serving()
    accusations.heard(fired())
    accusations.heard(fired(HOT, None, summary="90 degrees"))
    accusations.heard(resolved())
    assert accusations.against(GREEN) == "rule Hot: 90 degrees"
    accusations.heard(resolved(HOT))
    assert accusations.against(GREEN) is None


def test_what_nobodys_samples_raised_counts_from_the_switch_on_alone() -> None:
    accusations = serving(BLUE)
    accusations.heard(fired(HOT, None))
    assert accusations.against(BLUE) is not None
    accusations.begin(GREEN, is_new=True)
    assert accusations.against(GREEN) is None
    accusations.heard(fired(HOT, None))
    assert accusations.against(GREEN) is not None


def test_a_model_that_the_robot_returns_to_is_not_tried() -> None:
    accusations = serving(GREEN)
    accusations.heard(fired(SLOW, BLUE))
    accusations.begin(BLUE, is_new=False)
    accusations.heard(fired(HOT, None))
    assert accusations.against(BLUE) is None


def test_what_a_models_own_samples_raised_before_it_served_still_counts() -> None:
    """As a shadow, say: the rule fires on, and does not fire again."""
    accusations = serving(BLUE)
    accusations.heard(fired(SLOW, GREEN))
    accusations.begin(GREEN, is_new=True)
    assert accusations.against(GREEN) is not None
