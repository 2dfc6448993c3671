"""A rollout that unit tests of the command line look at."""

from __future__ import annotations

from datetime import datetime, timezone

from fleetward.contracts.evidence import CohortEvidence, Evidence, Moments
from fleetward.contracts.ids import (
    Digest,
    ModelRef,
    RobotId,
    model_name,
    robot_id,
    rollout_id,
    version,
)
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Strategy,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
ARM_1, ARM_2, ARM_3 = (robot_id(f"arm-{number}") for number in (1, 2, 3))


def rollout(state: RolloutState = RolloutState.RUNNING, reason: str = "") -> Rollout:
    """Three robots in two waves: the canary proved, one failed, one waits."""
    phases: dict[RobotId, RobotProgress] = {
        ARM_1: RobotProgress(phase=RobotPhase.PROVED),
        ARM_2: RobotProgress(phase=RobotPhase.FAILED, reason="out of memory"),
        ARM_3: RobotProgress(phase=RobotPhase.WAITING),
    }
    slow = CohortEvidence(inferences=20, latency_ms=Moments(count=20, total=900.0))
    return Rollout(
        rollout_id=rollout_id("r-1"),
        model=ModelRef(model_name("detector"), version("2.0")),
        digest=Digest("sha256:" + "a" * 64),
        strategy=Strategy.CANARY,
        policy=RolloutPolicy(),
        waves=((ARM_1,), (ARM_2, ARM_3)),
        wave=1,
        state=state,
        reason=reason,
        robots=phases,
        evidence=Evidence(canary=slow),
        wave_started_at=NOW,
        started_at=NOW,
        revision=7,
    )
