"""Gates by a real coordinator process: people and web services that agree, refuse, or do not answer."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.client.gates import approve
from fleetward.contracts.control import ControlAction
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.rollouts import Rollout, RolloutState, Strategy
from tests.integration.rollout_coordinator.coordinator_process import CoordinatorProcess
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Condition, Fleet
from tests.integration.rollout_coordinator.web_service import web_service

SAFETY = Gate(name="safety", kind=GateKind.APPROVAL, before=Checkpoint.START)
SWITCH = Gate(name="switch", kind=GateKind.APPROVAL, before=Checkpoint.SWITCH)


def waits_at(checkpoint: str) -> Condition:
    def holds(rollout: Rollout) -> bool:
        return rollout.checkpoint == checkpoint

    return holds


async def test_nothing_moves_before_a_person_agreed_also_when_the_coordinator_is_killed(
    fleet: Fleet, coordinator: CoordinatorProcess
) -> None:
    wanted = await fleet.ask("asked", "2", policy=replace(POLICY, gates=(SAFETY,)))
    waiting = await fleet.reached(wanted, waits_at("start"))
    await coordinator.kill()
    await coordinator.start()
    assert all(DIGESTS["2"] not in robot.served for robot in fleet.robots)

    await approve(fleet.people, waiting.rollout_id, "bob")

    assert (await fleet.ended(wanted)).state is RolloutState.SUCCEEDED


async def test_everybody_stages_and_switches_only_when_a_person_agreed(fleet: Fleet) -> None:
    policy = replace(POLICY, gates=(SWITCH,), switch_lead_s=0.2)
    wanted = await fleet.ask("blue", "2", strategy=Strategy.BLUE_GREEN, policy=policy)
    waiting = await fleet.reached(wanted, waits_at("switch"))
    assert all(DIGESTS["2"] not in robot.served for robot in fleet.robots)

    await approve(fleet.people, waiting.rollout_id, "bob")

    assert (await fleet.ended(wanted)).state is RolloutState.SUCCEEDED


async def test_a_web_service_is_asked_until_it_answers_and_its_no_pauses(fleet: Fleet) -> None:
    async with web_service() as service:
        service.status = 500
        gate = Gate(name="twin", kind=GateKind.WEBHOOK, before=Checkpoint.START, url=service.url)
        wanted = await fleet.ask("asks", "2", policy=replace(POLICY, gates=(gate,)))
        await fleet.reached(wanted, lambda rollout: "it answers 500" in rollout.withheld)
        service.status, service.text = 409, "it drove into the wall"
        paused = await fleet.reached(wanted, lambda rollout: rollout.state is RolloutState.PAUSED)
        assert paused.reason == "gate twin refused: it drove into the wall"
        assert len(set(service.keys)) == 1
        service.status, service.text = 200, "it drove well"
        await fleet.steer(wanted, ControlAction.RESUME)
        assert (await fleet.ended(wanted)).state is RolloutState.SUCCEEDED
        assert {asked["model"] for asked in service.asked} == {"detector:2"}
        assert len(set(service.keys)) == 2  # asked again after the refusal, it is another question


async def test_a_web_service_that_is_not_there_is_named(fleet: Fleet) -> None:
    async with web_service() as service:
        url = service.url
    gate = Gate(name="twin", kind=GateKind.WEBHOOK, before=Checkpoint.START, url=url)
    wanted = await fleet.ask("gone", "2", policy=replace(POLICY, gates=(gate,)))
    waiting = await fleet.reached(wanted, lambda rollout: "does not answer" in rollout.withheld)
    assert f"gate twin waits for {url}: it does not answer (ConnectError)" in waiting.withheld
