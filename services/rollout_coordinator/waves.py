"""Giving a model out: one wave of robots at a time, and who of them stayed silent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.deadlines import expected, expected_since
from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import not_returning, parts
from fleetward.contracts.robots import TargetMode
from fleetward.contracts.rollout_events import WaveStarted
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    Strategy,
)
from fleetward.contracts.surroundings import Surroundings
from fleetward.contracts.variants import wanted
from rollout_coordinator.admission import admitted
from rollout_coordinator.evidence import next_wave
from rollout_coordinator.phases import Standing, standing
from rollout_coordinator.set_orders import given_anew, switching_together
from rollout_coordinator.step import (
    Step,
    TargetOrder,
    Tick,
    due_phase,
    in_wave,
    waiting_reason,
    with_robots,
)
from rollout_coordinator.switch import agreed, switches


def wave_started(rollout: Rollout, wave: int, now: datetime, around: Surroundings) -> Step:
    """The next wave's robots are given the model; evidence starts over, copies stay known."""
    entered = replace(
        rollout,
        wave=wave,
        wave_started_at=now,
        switch_at=None,
        baking_since=None,
        is_promoted=False,
        evidence=next_wave(rollout),
    )
    announced = WaveStarted(
        rollout_id=rollout.rollout_id, wave=wave, robots=in_wave(entered), started_at=now
    )
    return Step(rollout=entered, events=(announced,)).then(
        targeted(entered, standing(entered), now, around)
    )


def targeted(rollout: Rollout, stands: Standing, now: datetime, around: Surroundings) -> Step:
    """Give the model to those of the waves so far whose turn it is, a bounded number at a time.

    The same rollout object: nobody is due, or nobody may be given anything, as was known before.
    """
    waiting = due_phase(rollout)
    due = list(stands.of(waiting)) if waiting in stands.phases else []
    who = admitted(rollout, stands, due, around)
    if not who.robots:
        waits_at_gates = bool(rollout.checkpoint) and not due
        return Step(
            rollout=rollout
            if waits_at_gates
            else with_withheld(rollout, who.withheld, now, is_scheduled=who.is_scheduled)
        )
    step = agreed(rollout, now)
    return step.then(_given(step.rollout, who.robots, now))


def with_withheld(
    rollout: Rollout, reason: str, now: datetime, *, is_scheduled: bool = False
) -> Rollout:
    """The rollout with why nobody may be given anything; the same object when that was known.

    ``is_scheduled``: it passes by itself at a known time, so no clock runs meanwhile.
    """
    since = (rollout.withheld_since or now) if reason and not is_scheduled else None
    if reason == rollout.withheld and since == rollout.withheld_since:
        return rollout
    return replace(rollout, withheld=reason, withheld_since=since)


def with_silent(rollout: Rollout, tick: Tick, now: datetime) -> Rollout:
    """Robots that were given the model and stayed silent past the deadline become unknown."""
    deadline_s = rollout.policy.silent_after_s
    latest = now - timedelta(seconds=deadline_s)
    if not _was_expected_at(rollout, tick, latest):
        return rollout
    overdue = {
        robot: replace(
            progress, phase=RobotPhase.UNKNOWN, reason=waiting_reason(progress, deadline_s)
        )
        for robot in expected(rollout)
        if expected_since(rollout, progress := rollout.robots[robot]) <= latest
    }
    return with_robots(rollout, overdue) if overdue else rollout


def _was_expected_at(rollout: Rollout, tick: Tick, moment: datetime) -> bool:
    """Whether anybody could have been heard: not before we listened, nor before an agreed switch."""
    begins = (tick.listening_since, rollout.switch_at)
    return all(begin is None or begin <= moment for begin in begins)


def _given(rollout: Rollout, robots: Sequence[RobotId], now: datetime) -> Step:
    changed = {
        robot: replace(
            _leaving(rollout, rollout.robots[robot]),
            phase=RobotPhase.TARGETED,
            generation=rollout.robots[robot].generation + 1,
            targeted_at=now,
            held_at=UNSET,
            is_to_switch=switches(rollout),
            reason="",
        )
        for robot in robots
    }
    if rollout.together:
        changed = {robot: given_anew(progress) for robot, progress in changed.items()}
    orders = tuple(_order(rollout, robot, progress) for robot, progress in changed.items())
    moved = with_withheld(with_robots(rollout, changed), "", now)
    return Step(rollout=moved, targets=orders)


def _leaving(rollout: Rollout, progress: RobotProgress) -> RobotProgress:
    """Who leaves withdrawn bytes by a switch does not return to them."""
    if not switches(rollout) or not rollout.withdrawn:
        return progress
    return not_returning(progress, rollout.withdrawn)


def _order(rollout: Rollout, robot: RobotId, progress: RobotProgress) -> TargetOrder:
    if progress.together is UNSET:
        return _order_of(rollout, progress, robot)
    return switching_together([_order_of(*part, robot) for part in parts(rollout, progress)])


def _order_of(rollout: Rollout, progress: RobotProgress, robot: RobotId) -> TargetOrder:
    given = wanted(rollout, progress)
    return TargetOrder(
        robot_id=robot,
        generation=progress.generation,
        model=given.model,
        digest=given.digest,
        mode=_mode(rollout),
        switch_at=None if rollout.staging else rollout.switch_at,
        fallback=progress.previous,
        fallback_digest=progress.previous_digest,
    )


def _mode(rollout: Rollout) -> TargetMode:
    if rollout.strategy is Strategy.SHADOW:
        return TargetMode.SHADOW
    return TargetMode.STAGE if rollout.staging else TargetMode.SERVE
