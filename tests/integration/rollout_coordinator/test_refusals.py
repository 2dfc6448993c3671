"""A request is answered once, however often it is delivered; asked again, it is answered again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollout_events import (
    RolloutStarted,
)
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import Rollout, RolloutState
from fleetward.contracts.rows import Principal, StreamName
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.fleet import Fleet, running_fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import stored_in

MARS = "site=mars"
TIMEOUT_S = 60.0


@pytest.fixture
async def silent(
    nats_system: NatsSystem, tmp_path: Path
) -> AsyncIterator[tuple[CoordinatorProcess, Fleet]]:
    """A coordinator that does not run yet, and one robot, which is not on Mars."""
    process = CoordinatorProcess(nats_system, tmp_path / "one", signing_key(tmp_path / "keys"))
    async with running_fleet(nats_system, tmp_path / "keys" / "trust", ["earth-1"]) as fleet:
        yield process, fleet
        assert await process.stop() == 0


async def refusals(fleet: Fleet) -> list[str]:
    """The reason of every refusal, oldest first."""
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    return [fact.reason for fact in facts if isinstance(fact, RolloutRefused)]


async def refused_after(fleet: Fleet, rollout_id: RolloutId, sequence: int) -> int:
    """Wait for a refusal that is newer than ``sequence``; its own."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            value = await last_value(fleet.people, RolloutRefused, rollout_id=rollout_id)
            if value is not None and value.sequence > sequence:
                return value.sequence
            await asyncio.sleep(0.05)  # live messages may come before the write


async def land_on_mars(fleet: Fleet) -> None:
    """From now on the request could become a rollout."""
    enroller = await fleet.system.connect(Principal.ENROLLER)
    landed = RobotEnrolled(robot_id=RobotId("earth-1"), labels={"site": "mars"}, enrolled_at=now())
    await publish(enroller, landed)


async def test_request_that_was_refused_before_a_crash_is_not_accepted_after_it(
    silent: tuple[CoordinatorProcess, Fleet],
) -> None:
    """The stream as it is when the coordinator dies between its refusal and its acknowledgement."""
    process, fleet = silent
    rollout_id = await fleet.ask("to-mars", "2", MARS)
    dying = await fleet.system.connect(Principal.COORDINATOR)
    reason = "nobody is there"
    refused = RolloutRefused(rollout_id=rollout_id, reason=reason, refused_at=now())
    await publish(dying, refused)
    await land_on_mars(fleet)

    await process.start()
    await fleet.ended(await fleet.ask("after", "1"))

    assert await last_value(fleet.people, Rollout, rollout_id=rollout_id) is None
    assert await refusals(fleet) == [reason]


async def test_asking_again_after_a_refusal_is_decided_anew_under_the_same_id(
    silent: tuple[CoordinatorProcess, Fleet],
) -> None:
    process, fleet = silent
    await process.start()
    rollout_id = await fleet.ask("to-mars", "2", MARS)
    first = await refused_after(fleet, rollout_id, 0)
    await fleet.ask(rollout_id, "2", MARS, attempt=2)
    await refused_after(fleet, rollout_id, first)
    await land_on_mars(fleet)
    await fleet.ask(rollout_id, "2", MARS, attempt=3)

    assert (await fleet.ended(rollout_id)).state is RolloutState.SUCCEEDED
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert sum(isinstance(fact, RolloutStarted) for fact in facts) == 1
