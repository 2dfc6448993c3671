"""What a person does to a rollout on a real server: promote, retry, roll back; and late evidence."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.bus.publish import publish
from fleetward.contracts.control import ControlAction
from fleetward.contracts.robots import ModelFellBack
from fleetward.contracts.rollout_events import RolloutPromoted, RolloutReopened
from fleetward.contracts.rollouts import RobotPhase, RolloutState
from fleetward.contracts.rows import StreamName
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import stored_in

BAKING = replace(POLICY, bake_s=600)
LENIENT = replace(BAKING, wave_percents=(100,), max_error_percent=50, min_success_percent=50)


async def test_promotion_skips_bakes_and_is_recorded_with_who_asked(fleet: Fleet) -> None:
    wanted = await fleet.ask("r", "2", policy=BAKING)
    await fleet.reached(wanted, lambda held: held.baking_since is not None)
    await fleet.steer(wanted, ControlAction.PROMOTE)
    await fleet.reached(wanted, lambda held: held.wave == 1 and held.baking_since is not None)
    await fleet.steer(wanted, ControlAction.PROMOTE, to_all=True)
    await fleet.reached(wanted, lambda held: held.wave == 2 and held.baking_since is not None)
    await fleet.steer(wanted, ControlAction.PROMOTE)
    assert (await fleet.ended(wanted)).state is RolloutState.SUCCEEDED
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["2"]}
    stored = await stored_in(fleet.system, StreamName.ROLLOUTS)
    promoted = [fact for fact in stored if isinstance(fact, RolloutPromoted)]
    assert [(fact.wave, fact.to_all, fact.by) for fact in promoted] == [
        (0, False, "ann"),
        (1, True, "ann"),
        (2, False, "ann"),
    ]


async def test_retry_gives_the_model_again_to_who_failed(fleet: Fleet) -> None:
    fleet.robot("paris-1").breaks = DIGESTS["2"]
    wanted = await fleet.ask("r", "2", policy=LENIENT)
    failed = await fleet.reached(wanted, lambda held: held.baking_since is not None)
    fleet.robot("paris-1").breaks = None
    await fleet.steer(wanted, ControlAction.RETRY)
    again = await fleet.reached(wanted, lambda held: held.baking_since is not None)
    assert failed.robots[fleet.robot("paris-1").robot_id].phase is RobotPhase.FAILED
    assert {held.phase for held in again.robots.values()} == {RobotPhase.PROVED}
    assert fleet.robot("paris-1").serves == DIGESTS["2"]


async def test_rollback_returns_everybody_but_names_who_has_something_newer(fleet: Fleet) -> None:
    wanted = await fleet.ask("r", "2")
    await fleet.ended(wanted)
    await fleet.ended(await fleet.ask("newer", "3", "robot=berlin-1"))

    refused = await fleet.steer(wanted, ControlAction.ROLLBACK)
    assert refused.state is RolloutState.SUCCEEDED
    assert refused.word is not None
    assert "berlin-1 was given detector:3 by rollout newer" in refused.word.refused

    await fleet.steer(wanted, ControlAction.ROLLBACK, skip=True)
    ended = await fleet.ended(wanted)
    assert (ended.state, ended.reason) == (RolloutState.REVERTED, "rolled back by ann")
    serves = {robot.robot_id: robot.serves for robot in fleet.robots}
    assert serves.pop(fleet.robot("berlin-1").robot_id) == DIGESTS["3"]
    assert set(serves.values()) == {DIGESTS["1"]}


async def test_success_that_is_watched_is_taken_back_when_a_robot_falls_back(fleet: Fleet) -> None:
    wanted = await fleet.ask("r", "2", "site=paris", policy=replace(POLICY, watch_after_s=600))
    succeeded = await fleet.ended(wanted)
    robot = fleet.robot("paris-1")
    late = ModelFellBack(
        robot_id=robot.robot_id,
        rollout_id=wanted,
        generation=robot.generations[-1],
        from_digest=DIGESTS["2"],
        to_digest=DIGESTS["1"],
        reason="too slow",
        fell_back_at=now(),
    )
    await publish(await fleet.system.connect(robot.robot_id), late)
    reverted = await fleet.reached(wanted, lambda held: held.state is RolloutState.REVERTED)
    assert succeeded.watched_until is not None
    assert "too slow, after it had succeeded" in reverted.reason
    assert robot.serves == fleet.robot("paris-2").serves == DIGESTS["1"]
    stored = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert [fact.rollout_id for fact in stored if isinstance(fact, RolloutReopened)] == [wanted]


async def test_newer_rollout_ends_the_watch_of_the_robots_it_takes(fleet: Fleet) -> None:
    watched = await fleet.ask("r", "2", "site=paris", policy=replace(POLICY, watch_after_s=600))
    await fleet.ended(watched)
    newer = await fleet.ended(await fleet.ask("newer", "3", "site=paris"))
    left = await fleet.reached(watched, lambda held: held.watched_until is None)
    assert (newer.state, left.state) == (RolloutState.SUCCEEDED, RolloutState.SUCCEEDED)
    assert {str(held.previous) for held in newer.robots.values()} == {"detector:2"}
