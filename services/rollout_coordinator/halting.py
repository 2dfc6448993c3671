"""Why a rollout must be taken back now: failures, too few proofs, or a comparison that condemns it."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, Rollout, Strategy
from fleetward.contracts.wording import how_many
from rollout_coordinator.looks import share
from rollout_coordinator.step import counted, due_phase, goal_phase, phases_of, reached
from rollout_coordinator.verdict import condemnation


def halt_reason(rollout: Rollout) -> str:
    """Why the rollout must be taken back now, or an empty string. Both thresholds bind."""
    robots, policy = counted(rollout, reached(rollout)), rollout.policy
    stands = phases_of(rollout, robots)
    failed = stands.count(RobotPhase.FAILED)
    if failed * 100 > policy.max_error_percent * len(robots):
        return f"{failed} of {how_many(len(robots), 'robot')} failed: {_first_failure(rollout)}"
    settled = due_phase(rollout) not in stands and RobotPhase.TARGETED not in stands
    goal = goal_phase(rollout)
    arrived = stands.count(goal)
    if settled and arrived * 100 < policy.min_success_percent * len(robots):
        unknown = stands.count(RobotPhase.UNKNOWN)
        return (
            f"only {arrived} of {how_many(len(robots), 'robot')} {goal.value} the model "
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
