"""Giving a model out: one wave of robots at a time, and who of them stayed silent."""

from __future__ import annotations

from datetime import datetime

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
    deadline_s = rollout.policy.silent_after_s
    overdue = {
        robot: replace(
            progress, phase=RobotPhase.UNKNOWN, reason=waiting_reason(progress, deadline_s)
        )
        for robot, progress in rollout.robots.items()
        if progress.phase is RobotPhase.TARGETED and _silence_s(progress, tick, now) >= deadline_s
    }
    return with_robots(rollout, overdue) if overdue else rollout


def _silence_s(progress: RobotProgress, tick: Tick, now: datetime) -> float:
    """How long a robot could have been heard and was not: nobody listened before we did."""
    since = progress.silent_at or progress.targeted_at or now
    return (now - max(since, tick.listening_since or since)).total_seconds()


def _order(rollout: Rollout, robot: RobotId, progress: RobotProgress) -> TargetOrder:
    return TargetOrder(
        robot_id=robot,
        generation=progress.generation,
        model=rollout.model,
        digest=rollout.digest,
        fallback=progress.previous,
        fallback_digest=progress.previous_digest,
    )
