"""Revocation beats delivery: a real coordinator takes back, and never starts, what was withdrawn."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.rollouts import RobotPhase, RolloutState
from fleetward.contracts.rows import StreamName
from tests.integration.rollout_coordinator.bad_news import withdraw
from tests.integration.rollout_coordinator.coordinator_process import CoordinatorProcess
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.stored import stored_in, targets_in

BAKING = replace(POLICY, bake_s=600)


async def test_a_withdrawal_takes_a_rollout_back_and_nobody_is_given_the_model_again(
    fleet: Fleet,
) -> None:
    running = await fleet.ask("recalled", "2", policy=BAKING)
    await fleet.reached(
        running,
        lambda rollout: any(held.phase is RobotPhase.PROVED for held in rollout.robots.values()),
    )

    await withdraw(fleet, "2")

    ended = await fleet.ended(running)
    assert ended.state is RolloutState.REVERTED
    assert ended.reason == "detector:2 was withdrawn: sees ghosts"
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["1"]}
    given = targets_in(await stored_in(fleet.system, StreamName.ROLLOUTS))
    refusal = await fleet.refusal(await fleet.ask("again", "2"))
    assert "detector:2 was withdrawn: sees ghosts" in refusal
    assert targets_in(await stored_in(fleet.system, StreamName.ROLLOUTS)) == given


async def test_what_was_withdrawn_just_before_a_rollout_began_is_recalled_also_after_a_crash(
    fleet: Fleet, coordinator: CoordinatorProcess
) -> None:
    """The streams as they are when the coordinator dies between the first write and its answer.

    The withdrawal was told when no rollout was there yet, and the request comes again.
    """
    begun = await fleet.ask("begun", "2", policy=BAKING)
    await fleet.reached(begun, lambda rollout: rollout.baking_since is not None)
    await coordinator.kill()
    await withdraw(fleet, "2", is_told=False)
    await fleet.ask(begun, "2", policy=BAKING, attempt=2)

    await coordinator.start()

    ended = await fleet.ended(begun)
    assert (ended.state, ended.reason) == (
        RolloutState.REVERTED,
        "detector:2 was withdrawn: sees ghosts",
    )
