"""Why a rollout must be taken back now: failures, too few proofs, or a comparison that condemns it."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, Rollout, Strategy
from fleetward.contracts.wording import how_many
from rollout_coordinator.looks import share
from rollout_coordinator.phases import Standing, is_settled, that_count
from rollout_coordinator.step import goal_phase
from rollout_coordinator.verdict import condemnation


def halt_reason(rollout: Rollout, reached: Standing) -> str:
    """Why the rollout must be taken back now, or an empty string. Both thresholds bind.

    ``reached``: how its robots stand (``standing``).
    """
    stands, policy = that_count(rollout, reached), rollout.policy
    robots = len(stands.robots)
    failed = stands.phases.count(RobotPhase.FAILED)
    if failed * 100 > policy.max_error_percent * robots:
        return f"{failed} of {how_many(robots, 'robot')} failed: {_first_failure(rollout)}"
    goal = goal_phase(rollout)
    arrived = stands.phases.count(goal)
    if arrived * 100 < policy.min_success_percent * robots and is_settled(rollout, stands):
        unknown = stands.phases.count(RobotPhase.UNKNOWN)
        return (
            f"only {arrived} of {how_many(robots, 'robot')} {goal.value} the model "
            f"({failed} failed, {unknown} unknown), below {policy.min_success_percent:g} %"
        )
    return "" if _is_judged_later(rollout) else condemned(rollout)


def condemned(rollout: Rollout) -> str:
    """Why the new model is worse than the one before, by comparison, or an empty string."""
    return condemnation(rollout.evidence, rollout.policy, len(rollout.waves))


def condemned_at_end(rollout: Rollout) -> str:
    """The one look that an A/B rollout takes, when the split was held for its time."""
    if not _is_judged_later(rollout):
        return ""
    look = replace(rollout.evidence, is_look=True, looks=1)
    whole = replace(rollout.policy, alpha=rollout.policy.alpha / share(1))
    return condemnation(look, whole, waves=1)


def _is_judged_later(rollout: Rollout) -> bool:
    """An A/B rollout compares when the split was held for its time, and not before."""
    return rollout.strategy is Strategy.A_B


def _first_failure(rollout: Rollout) -> str:
    return next(
        f"{robot}: {progress.reason}"
        for robot, progress in rollout.robots.items()
        if progress.phase is RobotPhase.FAILED
    )
