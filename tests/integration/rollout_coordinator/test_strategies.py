"""Each strategy by a real coordinator process over a real server."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.robots import TargetMode
from fleetward.contracts.rollout_events import SwitchOrdered
from fleetward.contracts.rollouts import (
    RobotPhase,
    Rollout,
    RolloutState,
    Strategy,
    SwitchScope,
)
from fleetward.contracts.rows import StreamName
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.stored import stored_in, targets_in

HELD = replace(POLICY, hold_s=0.5, switch_lead_s=0.5)


async def every_state(fleet: Fleet, rollout_id: str) -> list[Rollout]:
    """Each decision's state, in the order of the writes."""
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    return [fact for fact in facts if isinstance(fact, Rollout) and fact.rollout_id == rollout_id]


async def test_rolling_gives_the_model_to_one_robot_at_a_time(fleet: Fleet) -> None:
    rollout = await fleet.ended(
        await fleet.ask("rolling", "2", strategy=Strategy.ROLLING, policy=HELD)
    )

    assert rollout.state is RolloutState.SUCCEEDED
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["2"]}
    for state in await every_state(fleet, "rolling"):
        phases = [held.phase for held in state.robots.values()]
        assert phases.count(RobotPhase.TARGETED) <= 1


async def test_blue_green_stages_everywhere_and_switches_at_one_instant(fleet: Fleet) -> None:
    rollout = await fleet.ended(
        await fleet.ask("switch", "2", strategy=Strategy.BLUE_GREEN, policy=HELD)
    )

    assert rollout.state is RolloutState.SUCCEEDED
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["2"]}
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    (ordered,) = [fact for fact in facts if isinstance(fact, SwitchOrdered)]
    assert ordered.robots == len(fleet.robots)
    for held in targets_in(facts).values():
        staged, switched = held[-2:]
        assert (staged.mode, staged.switch_at) == (TargetMode.STAGE, None)
        assert (switched.mode, switched.switch_at) == (TargetMode.SERVE, ordered.switch_at)
    assert all(robot.switched_at[-1] >= ordered.switch_at for robot in fleet.robots)


async def test_blue_green_by_site_switches_one_site_after_the_other(fleet: Fleet) -> None:
    by_site = replace(HELD, switch=SwitchScope.SITE)
    rollout = await fleet.ended(
        await fleet.ask("sites", "2", strategy=Strategy.BLUE_GREEN, policy=by_site)
    )

    assert rollout.state is RolloutState.SUCCEEDED
    assert [{name.split("-")[0] for name in wave} for wave in rollout.waves] == [
        {"berlin"},
        {"paris"},
    ]
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    berlin, paris = [fact for fact in facts if isinstance(fact, SwitchOrdered)]
    assert berlin.switch_at < paris.switch_at


async def test_a_robot_that_cannot_stage_keeps_everybody_from_switching(fleet: Fleet) -> None:
    fleet.robot("paris-1").breaks = DIGESTS["2"]
    rollout = await fleet.ended(
        await fleet.ask("broken", "2", strategy=Strategy.BLUE_GREEN, policy=HELD)
    )

    assert rollout.state is RolloutState.REVERTED
    assert all(DIGESTS["2"] not in robot.served for robot in fleet.robots)
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["1"]}


async def test_a_shadowed_model_serves_nobody_and_is_discarded_when_it_did_well(
    fleet: Fleet,
) -> None:
    rollout = await fleet.ended(
        await fleet.ask("shadow", "2", strategy=Strategy.SHADOW, policy=HELD)
    )

    assert rollout.state is RolloutState.SUCCEEDED
    assert "saw live frames on 5 robots" in rollout.reason
    assert all(DIGESTS["2"] not in robot.served for robot in fleet.robots)
    assert all(robot.shadows is None for robot in fleet.robots)


async def test_an_a_b_rollout_gives_the_model_to_its_share_and_ends_with_a_verdict(
    fleet: Fleet,
) -> None:
    split = replace(HELD, split_percent=40)
    rollout = await fleet.ended(await fleet.ask("half", "2", strategy=Strategy.A_B, policy=split))

    assert rollout.state is RolloutState.SUCCEEDED
    served = [robot.robot_id for robot in fleet.robots if robot.serves == DIGESTS["2"]]
    assert len(served) == 2
    assert {name.split("-")[0] for name in served} == {"berlin", "paris"}
