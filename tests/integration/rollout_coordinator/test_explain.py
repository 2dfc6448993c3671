"""A real coordinator says why a rollout is where it is, and makes its decisions again from the log."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.bus.errors import RefusedError
from fleetward.client.explanations import explained
from fleetward.contracts.control import ControlAction
from fleetward.contracts.rollouts import RolloutState, Strategy
from fleetward.contracts.rows import StreamName
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import CoordinatorProcess
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.stored import assert_decisions_are_reproduced, stored_in


async def test_decisions_of_two_replicas_are_all_made_again(
    fleet: Fleet, nats_system: NatsSystem, tmp_path: Path
) -> None:
    other = CoordinatorProcess(nats_system, tmp_path / "two", tmp_path / "keys" / "target.seed")
    await other.start()
    wanted = await fleet.ask("told", "2")
    ended = await fleet.ended(wanted)
    await other.kill()
    answer = await explained(fleet.people, wanted)
    assert answer.reproduced == answer.decisions == ended.revision
    assert not answer.difference
    assert answer.moves == ()
    assert "succeeded" in answer.now
    assert "planned for 5 robots in waves of 1, 2, 2" in answer.why[0].effect
    assert "ann asked" in answer.why[0].cause
    assert_decisions_are_reproduced(await stored_in(nats_system, StreamName.ROLLOUTS))


async def test_robot_is_told_of_in_a_wave_to_come_left_out_and_unknown(fleet: Fleet) -> None:
    slow = replace(POLICY, bake_s=600)
    wanted = await fleet.ask("part", "2", selector="site=berlin", policy=slow)
    await fleet.reached(wanted, lambda rollout: rollout.baking_since is not None)
    first = await explained(fleet.people, wanted, "berlin-1")
    assert "berlin-1 is proved in wave 1 of 3" in first.now
    assert "berlin-1 proved detector:2 with" in first.why[-1].cause
    waiting = await explained(fleet.people, wanted, "berlin-3")
    assert waiting.moves == ("It is its turn in wave 3 of 3; wave 1 is on.",)
    out = await explained(fleet.people, wanted, "paris-1")
    assert "the selector 'site=berlin' did not match it; its labels were site=paris" in out.now
    nobody = await explained(fleet.people, wanted, "rome-9")
    assert "not enrolled" in nobody.now
    whole = await explained(fleet.people, wanted)
    assert whole.moves[0].startswith("The wave must do well until ")
    await fleet.steer(wanted, ControlAction.PAUSE)
    await fleet.reached(wanted, lambda rollout: rollout.state is RolloutState.PAUSED)
    paused = await explained(fleet.people, wanted)
    assert "ann asked" in paused.why[-1].cause
    assert paused.why[-1].effect == "it is paused: paused by ann"
    assert f"`fleetward rollout resume {wanted}` lets it go on." in paused.moves


async def test_refused_request_says_why_and_an_unknown_id_is_refused(fleet: Fleet) -> None:
    wanted = await fleet.ask("nowhere", "2", selector="site=mars", strategy=Strategy.ALL_AT_ONCE)
    reason = await fleet.refusal(wanted)
    answer = await explained(fleet.people, wanted)
    assert reason in answer.now
    with pytest.raises(RefusedError, match="No rollout has the id never"):
        await asyncio.wait_for(explained(fleet.people, "never"), 10)
