"""Small facts for tests that care how they travel and not what they say."""

from __future__ import annotations

from datetime import datetime, timezone

from fleetward.contracts.catalog import CONSUMERS
from fleetward.contracts.ids import (
    BootId,
    ModelName,
    ModelRef,
    RobotId,
    RolloutId,
    Version,
    model_selector,
)
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rollouts import (
    Rollout,
    RolloutPolicy,
    RolloutRequested,
    RolloutState,
    Strategy,
)
from fleetward.contracts.rows import ConsumerRow
from fleetward.contracts.telemetry import InferenceSummarized
from testkit.telemetry import digest_of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def heartbeat(robot: str, sequence: int) -> RobotCheckedIn:
    return RobotCheckedIn(
        robot_id=RobotId(robot), boot_id=BootId("boot"), sequence=sequence, checked_in_at=NOW
    )


def summary(robot: str, window: int) -> InferenceSummarized:
    return InferenceSummarized(
        robot_id=RobotId(robot),
        boot_id=BootId("boot"),
        window=window,
        digest=digest_of("a"),
        started_at=NOW,
        duration_s=1.0,
        inferences=1,
    )


def enrolled(robot: str) -> RobotEnrolled:
    return RobotEnrolled(robot_id=RobotId(robot), enrolled_at=NOW)


def requested(rollout: str) -> RolloutRequested:
    return RolloutRequested(
        rollout_id=RolloutId(rollout),
        model=model_selector("detector:1"),
        selector="all",
        requested_at=NOW,
    )


def state(rollout: str, reason: str = "") -> Rollout:
    return Rollout(
        rollout_id=RolloutId(rollout),
        model=ModelRef(ModelName("detector"), Version("1")),
        digest=digest_of("a"),
        strategy=Strategy.CANARY,
        policy=RolloutPolicy(),
        state=RolloutState.RUNNING,
        reason=reason,
        wave_started_at=NOW,
        started_at=NOW,
    )


def consumer(durable: str) -> ConsumerRow:
    """A consumer of the catalog."""
    return next(row for row in CONSUMERS if row.durable == durable)
