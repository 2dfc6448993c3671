"""Rollouts as the coordinator would write them."""

from __future__ import annotations

from datetime import datetime, timezone

from fleetward.contracts.ids import Digest, ModelRef, RolloutId, model_name, robot_id, version
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutPolicy,
    RolloutState,
    Strategy,
)

ARM_1 = robot_id("arm-1")


def rollout(wanted: str, revision: int = 1, state: RolloutState = RolloutState.RUNNING) -> Rollout:
    """One robot, one wave."""
    now = datetime.now(timezone.utc)
    return Rollout(
        rollout_id=RolloutId(wanted),
        model=ModelRef(model_name("detector"), version("2.0")),
        digest=Digest("sha256:" + "a" * 64),
        strategy=Strategy.CANARY,
        policy=RolloutPolicy(),
        waves=((ARM_1,),),
        robots={ARM_1: RobotProgress(phase=RobotPhase.TARGETED)},
        state=state,
        wave_started_at=now,
        started_at=now,
        revision=revision,
    )
