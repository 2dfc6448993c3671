"""The index of open rollouts is exact, and spares everybody the rollouts that have ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.errors import ConflictError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_index import OpenRollouts
from fleetward.contracts.rollouts import Rollout, RolloutState
from fleetward.contracts.rows import Principal, StreamName
from fleetward.trust.signing import SigningKey, TrustedKeys
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.step import Step
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet, running_fleet
from tests.integration.rollout_coordinator.stored import stored_in
from tests.unit.rollout_coordinator.scenes import START, planned, robot, started

BAKING = replace(POLICY, bake_s=600)
ENDED = 300
READ_LIMIT_BYTES = 10_000


def ledger_on(connection: Client, directory: Path) -> RolloutLedger:
    """A ledger with a key of its own."""
    key = SigningKey.load(signing_key(directory))
    return RolloutLedger(connection, key, TrustedKeys.load(directory / "trust"))


async def test_index_names_at_every_moment_the_rollouts_that_have_not_ended(fleet: Fleet) -> None:
    await fleet.reached(
        await fleet.ask("long", "2", "site=paris", policy=BAKING),
        lambda rollout: rollout.state is RolloutState.RUNNING,
    )
    await fleet.ended(await fleet.ask("short", "2", "site=berlin"))

    open_now: set[RolloutId] = set()
    said: list[set[RolloutId]] = []
    for fact in await stored_in(fleet.system, StreamName.ROLLOUTS):
        if isinstance(fact, Rollout):
            ended = fact.ended_at is not None
            open_now = open_now - {fact.rollout_id} if ended else open_now | {fact.rollout_id}
        elif isinstance(fact, OpenRollouts):
            said.append(set(fact.rollouts))
            assert said[-1] == open_now
    assert said == [{"first-1"}, set(), {"long"}, {"long", "short"}, {"long"}]


async def test_rollouts_that_ended_are_not_read_again(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    ended = replace(started(3), state=RolloutState.SUCCEEDED)
    running = started(3)
    await asyncio.gather(
        *(
            publish(coordinator, replace(ended, rollout_id=RolloutId(f"r-{number}")))
            for number in range(ENDED)
        )
    )
    await publish(coordinator, running)
    await publish(coordinator, OpenRollouts(rollouts=(running.rollout_id,)))
    ledger = ledger_on(coordinator, tmp_path / "keys")
    before = coordinator.stats["in_bytes"]

    opened = await ledger.opened()

    assert opened.rollouts == (running,)
    assert coordinator.stats["in_bytes"] - before < READ_LIMIT_BYTES


async def test_stream_without_an_index_is_read_once_and_has_one_from_then_on(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    """As a coordinator of before the index left it: its open rollout is neither lost nor overrun."""
    key = signing_key(tmp_path / "keys")
    process = CoordinatorProcess(nats_system, tmp_path / "one", key)
    names = ("berlin-1", "r1")
    async with running_fleet(nats_system, tmp_path / "keys" / "trust", names) as fleet:
        older = started(1)
        await publish(await nats_system.connect(Principal.COORDINATOR), older)
        await process.start()
        owned = await fleet.refusal(await fleet.ask("owned", "2", "robot=r1"))
        free = await fleet.ask("free", "2", "robot=berlin-1", policy=BAKING)
        await fleet.reached(free, lambda rollout: rollout.state is RolloutState.RUNNING)
        index = await last_value(await nats_system.connect(Principal.COORDINATOR), OpenRollouts)
        assert await process.stop() == 0

    assert f"r1 belongs to rollout {older.rollout_id}" in owned
    assert index is not None
    assert set(index.event.rollouts) == {older.rollout_id, free}


async def test_two_rollouts_that_share_a_waiting_robot_cannot_both_begin(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    """Two replicas plan at the same time; no target tells that the robot is taken."""
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    ledger = ledger_on(coordinator, tmp_path / "keys")
    rivals = [replace(planned(1, 1), rollout_id=RolloutId(name)) for name in ("one", "two")]
    rivals[1] = replace(rivals[1], waves=((robot(3),), (robot(2),)))
    steps = [Step(rollout=rival) for rival in rivals]
    seen_by_both = await ledger.opened()

    assert await ledger.begin(steps[0], seen_by_both, START) == []
    with pytest.raises(ConflictError):
        await ledger.begin(steps[1], seen_by_both, START)

    seen_now = await ledger.opened()
    assert [held.rollout_id for held in seen_now.rollouts] == ["one"]
    assert await ledger.load(RolloutId("two")) is None
