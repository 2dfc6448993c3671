"""A rollout of more robots than a row holds: whole to every reader, and cheap to decide on."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.errors import ConflictError
from fleetward.bus.stored_rollouts import KeptRollout, read_rollout
from fleetward.client import Fleet
from fleetward.client.access import Access
from fleetward.contracts.evidence import Evidence
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollout_rows import ROBOTS_PER_SHARD
from fleetward.contracts.rollouts import (
    MAX_ROBOTS_PER_ROLLOUT,
    RobotPhase,
    RobotProgress,
    Rollout,
)
from fleetward.contracts.rows import Principal
from fleetward.trust.signing import SigningKey, TrustedKeys
from rollout_coordinator.ledger import RolloutLedger
from rollout_coordinator.step import Step
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.coordinator_process import signing_key
from tests.unit.rollout_coordinator.scenes import NEW, NEW_MODEL, START, planned

ROW_AND_SHARD_BYTES = 40_000
ROW_BYTES = 5_000
DECISIONS = 40


class Replica:
    """A ledger with a connection of its own, to count what it moves."""

    def __init__(self, connection: Client, key: Path) -> None:
        trusted = TrustedKeys.load(key.parent / "trust")
        self.connection = connection
        self.ledger = RolloutLedger(connection, SigningKey.load(key), trusted)

    async def load(self, rollout: Rollout) -> KeptRollout:
        """The rollout as it stands."""
        kept = await self.ledger.load(rollout.rollout_id)
        assert kept is not None
        return kept


@pytest.fixture
async def replicas(nats_system: NatsSystem, tmp_path: Path) -> list[Replica]:
    key = signing_key(tmp_path / "keys")
    return [Replica(await nats_system.connect(Principal.COORDINATOR), key) for _ in range(2)]


def large(robots: int) -> Rollout:
    """Robots with long ids that all have proved another model before."""
    names = [RobotId(f"{number:05}-arm-of-the-long-winded-integrator") for number in range(robots)]
    before = RobotProgress(generation=4, previous=NEW_MODEL, previous_digest=NEW)
    return replace(
        planned(1),
        waves=(tuple(names[:10]), tuple(names[10:])),
        robots=dict.fromkeys(names, before),
    )


def counted(rollout: Rollout, robots: list[RobotId]) -> Step:
    """A batch of telemetry: another window of these robots."""
    until = START + timedelta(seconds=rollout.revision)
    known = {**rollout.evidence.counted_until, **dict.fromkeys(robots, until)}
    return Step(rollout=replace(rollout, evidence=Evidence(counted_until=known)))


async def begun(replica: Replica, robots: int) -> KeptRollout:
    """A stored rollout of so many robots."""
    rollout = large(robots)
    opened = await replica.ledger.opened()
    assert await replica.ledger.begin(Step(rollout=rollout), opened, START) == []
    return await replica.load(rollout)


async def test_largest_rollout_is_whole_to_replicas_and_to_people(
    replicas: list[Replica], nats_system: NatsSystem
) -> None:
    one, other = replicas
    kept = await begun(one, MAX_ROBOTS_PER_ROLLOUT)

    assert kept == await other.load(kept.event)
    assert kept.event == replace(
        large(MAX_ROBOTS_PER_ROLLOUT), revision=1, sharding=kept.event.sharding
    )
    access = Access(bus=nats_system.settings(Principal.OPERATOR))
    async with Fleet.connect(access=access) as people:
        assert await people.rollout(kept.event.rollout_id) == kept.event
        assert await people.rollouts() == [kept.event]
    assert (await other.ledger.opened()).rollouts == (kept.event,)


async def test_batch_of_evidence_moves_the_row_and_the_shard_it_is_of(
    replicas: list[Replica],
) -> None:
    one, other = replicas
    kept = await begun(one, MAX_ROBOTS_PER_ROLLOUT)
    step = counted(kept.event, list(kept.event.robots)[:ROBOTS_PER_SHARD])
    sent, read = (one.connection.stats[which] for which in ("out_bytes", "in_bytes"))

    assert await one.ledger.write(step, kept, START) == []
    after = await one.load(kept.event)

    assert one.connection.stats["out_bytes"] - sent < ROW_AND_SHARD_BYTES
    assert one.connection.stats["in_bytes"] - read < ROW_BYTES
    assert after == await other.load(kept.event)
    assert len(after.event.evidence.counted_until) == ROBOTS_PER_SHARD


async def test_of_two_decisions_on_the_same_state_one_is_written_and_nothing_of_the_other(
    replicas: list[Replica],
) -> None:
    one, other = replicas
    kept = await begun(one, 2 * ROBOTS_PER_SHARD)
    first, *_, last = kept.event.robots
    proved = RobotProgress(phase=RobotPhase.PROVED)
    moved = replace(kept.event, robots={**kept.event.robots, last: proved})
    seen = await other.load(kept.event)

    assert await one.ledger.write(counted(kept.event, [first]), kept, START) == []
    with pytest.raises(ConflictError):
        await other.ledger.write(Step(rollout=moved), seen, START)

    after = await other.load(kept.event)
    assert after == await one.load(kept.event)
    assert set(after.event.evidence.counted_until) == {first}
    assert after.event.robots[last] == kept.event.robots[last]


async def test_whoever_reads_while_it_is_decided_on_reads_one_moment(
    replicas: list[Replica],
) -> None:
    """Each decision marks one robot of every shard with its revision."""
    one, other = replicas
    kept = await begun(one, 3 * ROBOTS_PER_SHARD)
    marked = list(kept.event.robots)[::ROBOTS_PER_SHARD]
    seen: list[tuple[int, set[int]]] = []

    async def read() -> None:
        while True:
            found = await read_rollout(other.connection, kept.event.rollout_id)
            assert found is not None
            marks = {found.event.robots[robot].generation for robot in marked}
            seen.append((found.event.revision, marks))

    reading = asyncio.create_task(read())
    for _ in range(DECISIONS):
        mark = RobotProgress(generation=kept.event.revision + 1)
        robots = {**kept.event.robots, **dict.fromkeys(marked, mark)}
        step = Step(rollout=replace(kept.event, robots=robots))
        assert await one.ledger.write(step, kept, START) == []
        kept = await one.load(kept.event)
    reading.cancel()

    moved = [(revision, marks) for revision, marks in seen if revision > 1]
    assert len(moved) > 3
    assert moved == [(revision, {revision}) for revision, _ in moved]
