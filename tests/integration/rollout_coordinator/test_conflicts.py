"""One owner per robot: a rollout waits for robots of another, takes them over, or waits for its time."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from fleetward.contracts.control import ControlAction, OnConflict
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState
from fleetward.contracts.rows import StreamName
from tests.integration.rollout_coordinator.coordinator_process import CoordinatorProcess
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import (
    assert_generations_strictly_increase,
    stored_in,
)

BAKING = replace(POLICY, bake_s=600)
WAITING = replace(POLICY, on_conflict=OnConflict.WAIT)
SUPERSEDING = replace(POLICY, on_conflict=OnConflict.SUPERSEDE)


def is_baking(rollout: Rollout) -> bool:
    """Whether the first wave has proved the model."""
    return rollout.baking_since is not None


async def test_waiting_rollouts_begin_in_the_order_they_were_asked_for(fleet: Fleet) -> None:
    first = await fleet.ask("first", "2", policy=BAKING)
    await fleet.reached(first, is_baking)
    second = await fleet.ask("second", "3", "site=berlin", policy=WAITING)
    queued = await fleet.reached(second, lambda held: held.state is RolloutState.QUEUED)
    third = await fleet.ask("third", "2", "robot=berlin-2", policy=WAITING)
    behind = await fleet.reached(third, lambda held: held.state is RolloutState.QUEUED)
    assert queued.waits_for == (first,)
    assert "waits for rollout first, which owns berlin-1" in queued.reason
    assert behind.waits_for == (first,)

    await fleet.steer(first, ControlAction.ABORT)
    began = await fleet.ended(second)
    last = await fleet.ended(third)
    assert (began.state, last.state) == (RolloutState.SUCCEEDED, RolloutState.SUCCEEDED)
    assert began.ended_at is not None
    assert began.ended_at <= last.started_at
    assert {str(held.previous) for held in began.robots.values()} == {"detector:1"}
    assert fleet.robot("berlin-2").serves == DIGESTS["2"]
    assert fleet.robot("berlin-1").serves == DIGESTS["3"]
    assert_generations_strictly_increase(await stored_in(fleet.system, StreamName.ROLLOUTS))


async def test_newer_rollout_takes_robots_over_and_the_older_never_touches_them_again(
    fleet: Fleet,
) -> None:
    older = await fleet.ask("older", "2", policy=BAKING)
    await fleet.reached(older, is_baking)
    newer = await fleet.ended(await fleet.ask("newer", "3", "site=berlin", policy=SUPERSEDING))
    assert newer.state is RolloutState.SUCCEEDED

    await fleet.steer(older, ControlAction.ABORT)
    ended = await fleet.ended(older)
    lost = {
        robot: held.reason
        for robot, held in ended.robots.items()
        if held.phase is RobotPhase.SUPERSEDED
    }
    assert lost == dict.fromkeys(("berlin-1", "berlin-2", "berlin-3"), "superseded by newer")
    serves = {robot.robot_id: robot.serves for robot in fleet.robots}
    assert {serves[robot] for robot in lost} == {DIGESTS["3"]}
    assert {serves[name] for name in serves.keys() - lost.keys()} == {DIGESTS["1"]}
    assert_generations_strictly_increase(await stored_in(fleet.system, StreamName.ROLLOUTS))


async def test_rollout_that_lost_every_robot_ends_with_the_reason(fleet: Fleet) -> None:
    older = await fleet.ask("older", "2", policy=BAKING)
    await fleet.reached(older, is_baking)
    await fleet.ask("newer", "3", policy=SUPERSEDING)
    ended = await fleet.ended(older)
    assert (ended.state, ended.reason) == (RolloutState.ABORTED, "superseded by newer")


async def test_scheduled_rollout_begins_by_itself_though_the_coordinator_was_away(
    fleet: Fleet, coordinator: CoordinatorProcess
) -> None:
    at = now() + timedelta(seconds=2)
    wanted = await fleet.ask("tonight", "2", begins_at=at)
    scheduled = await fleet.reached(wanted, lambda held: held.state is RolloutState.SCHEDULED)
    taken_off = await fleet.ask("never", "3", begins_at=at + timedelta(days=1))
    await fleet.reached(taken_off, lambda held: held.state is RolloutState.SCHEDULED)
    await coordinator.kill()
    await coordinator.start()
    await fleet.steer(taken_off, ControlAction.ABORT)
    ended = await fleet.ended(wanted)
    assert (scheduled.waves, scheduled.robots, scheduled.begins_at) == ((), {}, at)
    assert ended.state is RolloutState.SUCCEEDED
    assert ended.started_at >= at
    assert (await fleet.ended(taken_off)).reason == "aborted by ann before it began"
