"""Rollouts by a real coordinator process over a real server."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from fleetward.bus.publish import publish
from fleetward.contracts.control import ControlAction, RolloutControlRequested
from fleetward.contracts.decisions import RolloutDecided
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollout_events import (
    RolloutEnded,
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
    WaveCompleted,
    WaveStarted,
)
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutRequested, RolloutState
from fleetward.contracts.rows import Principal, StreamName
from tests.integration.rollout_coordinator.bad_news import critical
from tests.integration.rollout_coordinator.coordinator_process import CoordinatorProcess
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import (
    assert_decisions_are_reproduced,
    assert_generations_strictly_increase,
    assert_nothing_happened_twice,
    stored_in,
    targets_in,
)

BAKING = replace(POLICY, bake_s=600)
"""The canary is never done, so a test has time to intervene."""


def proved(rollout: Rollout) -> list[RobotId]:
    return [name for name, held in rollout.robots.items() if held.phase is RobotPhase.PROVED]


async def test_canary_rollout_reaches_every_robot_wave_by_wave(fleet: Fleet) -> None:
    rollout = await fleet.ended(await fleet.ask("good", "2"))
    assert rollout.state is RolloutState.SUCCEEDED
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["2"]}
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    of_rollout = [fact for fact in facts if getattr(fact, "rollout_id", "") == "good"]
    states = (Rollout, RolloutDecided)
    kinds = [type(fact) for fact in of_rollout if not isinstance(fact, states)][1:]
    waves = [WaveStarted, WaveCompleted] * 3
    assert kinds == [RolloutStarted, *waves, RolloutEnded]
    assert_generations_strictly_increase(facts)
    assert_nothing_happened_twice(facts)


async def test_critical_alert_takes_the_model_back_and_no_other_robot_gets_it(
    fleet: Fleet,
) -> None:
    rollout_id = await fleet.ask("bad", "2", policy=replace(BAKING, byte_cap=50_000_000))
    running = await fleet.reached(rollout_id, lambda rollout: bool(proved(rollout)))
    (canary,) = proved(running)
    alerting = await fleet.system.connect(Principal.ALERTING)
    await publish(alerting, critical(canary))
    rollout = await fleet.ended(rollout_id)
    assert rollout.state is RolloutState.REVERTED
    assert f"{canary}: alert InferenceSlow: inference is slow" in rollout.reason
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["1"]}
    targets = targets_in(await stored_in(fleet.system, StreamName.ROLLOUTS))
    given = {name for name, held in targets.items() if DIGESTS["2"] in {t.digest for t in held}}
    assert given == {canary}
    assert [target.generation for target in targets[canary]] == [1, 2, 3]
    caps = [target.byte_cap for target in targets[canary]]
    assert caps == [None, 50_000_000, None], "no robot is kept from going back by a cap"


async def test_robot_that_cannot_load_the_model_halts_the_rollout(fleet: Fleet) -> None:
    for robot in fleet.robots:
        robot.breaks = DIGESTS["2"]
    rollout = await fleet.ended(await fleet.ask("broken", "2"))
    assert rollout.state is RolloutState.REVERTED
    assert "load: no such operator" in rollout.reason


async def test_operator_pauses_resumes_and_aborts(fleet: Fleet) -> None:
    rollout_id = await fleet.ask("steered", "2", policy=BAKING)
    await fleet.reached(rollout_id, lambda rollout: bool(proved(rollout)))
    for action, state in (
        (ControlAction.PAUSE, RolloutState.PAUSED),
        (ControlAction.RESUME, RolloutState.RUNNING),
        (ControlAction.ABORT, RolloutState.ABORTED),
    ):
        asked = RolloutControlRequested(
            rollout_id=rollout_id, action=action, requested_by="ann", requested_at=now()
        )
        await publish(fleet.people, asked)
        await publish(fleet.people, asked)
        await fleet.reached(rollout_id, lambda rollout, wanted=state: rollout.state is wanted)  # type: ignore[misc]  # a default binds the loop's value
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert sum(isinstance(fact, RolloutPaused) for fact in facts) == 1
    assert sum(isinstance(fact, RolloutResumed) for fact in facts) == 1
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["1"]}


async def test_request_that_cannot_be_is_refused_with_what_to_do(fleet: Fleet) -> None:
    busy = await fleet.ask("busy", "2", "site=paris", policy=BAKING)
    await fleet.reached(busy, lambda rollout: rollout.state is RolloutState.RUNNING)
    refusals = {
        ("no-model", "unheard-of:1", "all"): "no model is called 'unheard-of'",
        ("no-version", "9", "all"): "has no version '9'; the newest are: 1, 2, 3",
        ("bad-selector", "2", "site="): "the selector is not valid at column 6",
        ("nobody", "2", "site=mars"): "matches none of 5 robots",
        ("owned", "3", "robot=paris-1"): "paris-1 belongs to rollout busy, which is running",
        ("also-owned", "3", "robot=paris-2"): "paris-2 belongs to rollout busy",
        ("done", "1", "site=berlin"): "all 3 selected robots were already given detector:1",
    }
    for (name, version, selector), reason in refusals.items():
        assert reason in await fleet.refusal(await fleet.ask(name, version, selector))
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert {fact.rollout_id for fact in facts if isinstance(fact, RolloutStarted)} == {
        "first-1",
        "busy",
    }


async def test_same_request_asked_twice_is_one_rollout(fleet: Fleet) -> None:
    """The first id is remembered by the stream itself, not only by its window for duplicates."""
    rollout_id = await fleet.ask("once", "2")
    await fleet.ended(rollout_id)
    before = await stored_in(fleet.system, StreamName.ROLLOUTS)
    asked = [fact for fact in before if isinstance(fact, RolloutRequested)][-1]
    await publish(fleet.people, asked)
    await fleet.ended(await fleet.ask("after", "3", "robot=berlin-1"))
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert sum(fact == asked for fact in facts) == 2
    assert_nothing_happened_twice(facts)


async def test_killed_server_delays_a_rollout_and_loses_nothing(fleet: Fleet) -> None:
    rollout_id = await fleet.ask("through", "2")
    await fleet.reached(rollout_id, lambda rollout: bool(proved(rollout)))
    await fleet.system.kill()
    await asyncio.sleep(1.0)  # an outage, of a length people notice
    await fleet.system.restart()
    rollout = await fleet.ended(rollout_id)
    assert rollout.state is RolloutState.SUCCEEDED
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert_generations_strictly_increase(facts)
    assert_nothing_happened_twice(facts)


async def test_coordinator_killed_in_mid_rollout_goes_on_where_it_was(
    fleet: Fleet, coordinator: CoordinatorProcess
) -> None:
    rollout_id = await fleet.ask("resumed", "2")
    await fleet.reached(rollout_id, lambda rollout: bool(proved(rollout)))
    await coordinator.kill()
    await coordinator.start()
    rollout = await fleet.ended(rollout_id)
    assert rollout.state is RolloutState.SUCCEEDED
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert_nothing_happened_twice(facts)
    assert_decisions_are_reproduced(facts)
