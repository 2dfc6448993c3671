"""A batch is stored whole or not at all, and never over somebody else's write."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.msg import Msg

from fleetward.bus.batch import MAX_BATCH_MESSAGES, Write, write_atomically
from fleetward.bus.errors import BusError, ConflictError, PublishError
from fleetward.bus.last_values import last_value
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import MessageTooLargeError, encode
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.bus.speech import state


async def test_all_of_a_batch_is_stored(shared_nats_system: NatsSystem) -> None:
    connection = await shared_nats_system.connect(Principal.COORDINATOR)
    last = await write_atomically(connection, [Write(state("all-1"), 0), Write(state("all-2"), 0)])
    values = [await last_value(connection, Rollout, rollout_id=name) for name in ("all-1", "all-2")]
    assert [value.sequence for value in values if value] == [last - 1, last]


async def test_nothing_of_a_batch_is_stored_when_one_expectation_fails(
    shared_nats_system: NatsSystem,
) -> None:
    connection = await shared_nats_system.connect(Principal.COORDINATOR)
    sequence = await write_atomically(connection, [Write(state("held"), 0)])
    batch = [Write(state("new-1"), 0), Write(state("held"), sequence - 1), Write(state("new-2"))]
    with pytest.raises(ConflictError):
        await write_atomically(connection, batch)
    for name in ("new-1", "new-2"):
        assert await last_value(connection, Rollout, rollout_id=name) is None


async def test_of_many_writers_exactly_one_wins(shared_nats_system: NatsSystem) -> None:
    connection = await shared_nats_system.connect(Principal.COORDINATOR)
    writes = (
        write_atomically(connection, [Write(state("raced", str(number)), 0)]) for number in range(8)
    )
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ConflictError) for outcome in outcomes) == 7


async def test_live_subscriber_hears_a_batch_that_the_stream_refused(
    shared_nats_system: NatsSystem,
) -> None:
    """Why a live message on an atomic stream means only: look now."""
    connection = await shared_nats_system.connect(Principal.COORDINATOR)
    people = await shared_nats_system.connect(Principal.OPERATOR)
    heard: asyncio.Queue[Msg] = asyncio.Queue()
    phantom = state("phantom")
    await people.subscribe(row_of(Rollout).subject_of(phantom), cb=heard.put)
    await people.flush()
    with pytest.raises(ConflictError):
        await write_atomically(connection, [Write(phantom, 999)])
    assert (await asyncio.wait_for(heard.get(), 60)).data == encode(phantom)
    assert await last_value(people, Rollout, rollout_id="phantom") is None


async def test_largest_batch_is_stored_and_a_larger_one_refused(
    shared_nats_system: NatsSystem,
) -> None:
    connection = await shared_nats_system.connect(Principal.COORDINATOR)
    many = [Write(state(f"many-{number}"), 0) for number in range(MAX_BATCH_MESSAGES + 1)]
    with pytest.raises(BusError, match="1 to 1000 messages, not 1001"):
        await write_atomically(connection, many)
    await write_atomically(connection, many[:-1])
    with pytest.raises(BusError, match="not 0"):
        await write_atomically(connection, [])


async def test_fact_past_its_limit_is_refused_before_anything_is_sent(
    shared_nats_system: NatsSystem,
) -> None:
    connection = await shared_nats_system.connect(Principal.COORDINATOR)
    large = state("large", "x" * row_of(Rollout).size_limit_bytes)
    with pytest.raises(MessageTooLargeError, match="Rollout is"):
        await write_atomically(connection, [Write(large, 0)])


async def test_batch_into_a_dead_server_is_not_acknowledged(nats_system: NatsSystem) -> None:
    connection = await nats_system.connect(Principal.COORDINATOR)
    await nats_system.kill()
    with pytest.raises(PublishError, match="load and retry"):
        await write_atomically(connection, [Write(state("lost"), 0)], timeout_s=0.5)
    await nats_system.restart()
