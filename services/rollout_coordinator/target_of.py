"""The target that an order of a rollout becomes."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET

from fleetward.contracts.model_sets import parts
from fleetward.contracts.robots import RobotTarget
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.variants import wanted
from rollout_coordinator.step import TargetOrder
from rollout_coordinator.switch import warm_s


def target_of(rollout: Rollout, order: TargetOrder, now: datetime) -> RobotTarget:
    """What ``order`` says to the robot, by the rollout's policy."""
    return RobotTarget(
        robot_id=order.robot_id,
        generation=order.generation,
        rollout_id=rollout.rollout_id,
        model=order.model,
        digest=order.digest,
        mode=order.mode,
        switch_at=order.switch_at,
        interlocks=_interlocks(rollout, order),
        fallback=order.fallback,
        fallback_digest=order.fallback_digest,
        proof_inferences=rollout.policy.proof_inferences,
        health_window_s=warm_s(rollout),
        byte_cap=_byte_cap(rollout, order),
        issued_at=now,
    )


def _interlocks(rollout: Rollout, order: TargetOrder) -> tuple[str, ...]:
    """They bind the way to the new model; going back from it waits for nothing."""
    return rollout.policy.interlocks if _leads_there(rollout, order) else ()


def _byte_cap(rollout: Rollout, order: TargetOrder) -> int | None:
    """A cap is for the new model: no robot is kept from going back by it."""
    return rollout.policy.byte_cap if _leads_there(rollout, order) else None


def _leads_there(rollout: Rollout, order: TargetOrder) -> bool:
    progress = rollout.robots[order.robot_id]
    if progress.together is UNSET:
        return order.digest == wanted(rollout, progress).digest
    return any(order.digest == wanted(*part).digest for part in parts(rollout, progress))
