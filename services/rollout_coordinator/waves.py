"""Giving a model out: one wave of robots at a time, and who of them stayed silent."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import (
    MAX_TARGETS_PER_STEP,
    Evidence,
    RobotPhase,
    RobotProgress,
    Rollout,
    WaveStarted,
)
from rollout_coordinator.step import (
    Step,
    TargetOrder,
    Tick,
    in_wave,
    waiting_reason,
    with_robots,
)


def wave_started(rollout: Rollout, wave: int, now: datetime) -> Step:
    """The next wave's robots are given the model; evidence starts over, copies stay known."""
    entered = replace(
        rollout,
        wave=wave,
        wave_started_at=now,
        baking_since=None,
        evidence=Evidence(counted_until=rollout.evidence.counted_until),
    )
    announced = WaveStarted(
        rollout_id=rollout.rollout_id, wave=wave, robots=in_wave(entered), started_at=now
    )
    return Step(rollout=entered, events=(announced,)).then(targeted(entered, now))


def targeted(rollout: Rollout, now: datetime) -> Step:
    """Give the model to the wave's waiting robots, a bounded number at a time."""
    waiting = [
        robot for robot in in_wave(rollout) if rollout.robots[robot].phase is RobotPhase.WAITING
    ][:MAX_TARGETS_PER_STEP]
    changed = {
        robot: replace(
            rollout.robots[robot],
            phase=RobotPhase.TARGETED,
            generation=rollout.robots[robot].generation + 1,
            targeted_at=now,
        )
        for robot in waiting
    }
    orders = tuple(_order(rollout, robot, progress) for robot, progress in changed.items())
    return Step(rollout=with_robots(rollout, changed), targets=orders)


def with_silent(rollout: Rollout, tick: Tick, now: datetime) -> Rollout:
    """Robots that were given the model and stayed silent past the deadline become unknown."""
    overdue = {
        robot: replace(
            progress,
            phase=RobotPhase.UNKNOWN,
            reason=waiting_reason(progress.targeted_at, rollout.policy.silent_after_s),
        )
        for robot, progress in rollout.robots.items()
        if progress.phase is RobotPhase.TARGETED
        and progress.targeted_at is not None
        and _silence(progress.targeted_at, tick, now).total_seconds()
        >= rollout.policy.silent_after_s
    }
    return with_robots(rollout, overdue) if overdue else rollout


def _silence(targeted_at: datetime, tick: Tick, now: datetime) -> timedelta:
    """How long a robot could have been heard and was not: nobody listened before we did."""
    return now - max(targeted_at, tick.listening_since or targeted_at)


def _order(rollout: Rollout, robot: RobotId, progress: RobotProgress) -> TargetOrder:
    return TargetOrder(
        robot_id=robot,
        generation=progress.generation,
        model=rollout.model,
        digest=rollout.digest,
        fallback=progress.previous,
        fallback_digest=progress.previous_digest,
    )
