"""Control-plane handlers: retried later, dead-lettered when hopeless, on one trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleetward.bus import listen as listening
from fleetward.bus.last_values import last_value
from fleetward.bus.listen import BACKOFF_S, Handler, Kept, connect_broker, listen
from fleetward.bus.publish import publish
from fleetward.bus.tracing import current_traceparent, setup_tracing, span
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import encode
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.event import Event
from fleetward.contracts.rollouts import RolloutRequested
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.bus.speech import consumer, requested

REQUESTS = consumer("coordinator-requests")
TIMEOUT_S = 60.0


@asynccontextmanager
async def listening_to(system: NatsSystem, handler: Handler) -> AsyncIterator[None]:
    broker = await connect_broker(system.settings(Principal.COORDINATOR))
    listen(broker, REQUESTS, handler)
    await broker.start()
    try:
        yield
    finally:
        await broker.stop()


async def test_handler_learns_what_was_said_when_and_where_it_is_kept(
    nats_system: NatsSystem,
) -> None:
    heard: asyncio.Queue[tuple[Event, Kept]] = asyncio.Queue()

    async def note(event: Event, kept: Kept) -> None:
        heard.put_nowait((event, kept))

    async with listening_to(nats_system, note):
        sequence = await publish(await nats_system.connect(Principal.OPERATOR), requested("one"))
        event, kept = await asyncio.wait_for(heard.get(), TIMEOUT_S)
    assert (event, kept.sequence) == (requested("one"), sequence)
    assert abs(datetime.now(timezone.utc) - kept.stored_at) < timedelta(seconds=30)


async def test_failing_handler_is_tried_again_after_a_growing_pause(
    nats_system: NatsSystem,
) -> None:
    loop = asyncio.get_running_loop()
    tried: list[float] = []
    done = asyncio.Event()

    async def fails_twice(event: Event, kept: Kept) -> None:
        tried.append(loop.time())
        if len(tried) < 3:
            raise OSError("not yet")
        done.set()

    async with listening_to(nats_system, fails_twice):
        await publish(await nats_system.connect(Principal.OPERATOR), requested("later"))
        await asyncio.wait_for(done.wait(), TIMEOUT_S)
    assert tried[1] - tried[0] >= BACKOFF_S[0]
    assert tried[2] - tried[1] >= BACKOFF_S[1]


async def test_handler_that_never_manages_leaves_a_dead_letter(
    nats_system: NatsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "BACKOFF_S", (0.05, 0.05))
    tried: list[Event] = []

    async def never(event: Event, kept: Kept) -> None:
        tried.append(event)
        raise OSError("never")

    async with listening_to(nats_system, never):
        await publish(await nats_system.connect(Principal.OPERATOR), requested("hopeless"))
        letter = await dead_letter(nats_system)
    assert letter.payload == encode(requested("hopeless"))
    assert letter.error == "OSError('never')"
    assert len(tried) == 3


@pytest.mark.parametrize(
    "poison", [b"\xc1 not msgpack", encode(requested("another"))], ids=["noise", "another's"]
)
async def test_poison_is_dead_lettered_at_once_and_whole_and_blocks_nobody(
    nats_system: NatsSystem, poison: bytes
) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()

    async def note(event: Event, kept: Kept) -> None:
        heard.put_nowait(event)

    people = await nats_system.connect(Principal.OPERATOR)
    subject = row_of(RolloutRequested).subject_of(requested("poison"))
    async with listening_to(nats_system, note):
        await people.jetstream().publish(subject, poison)
        await publish(people, requested("next"))
        assert await asyncio.wait_for(heard.get(), TIMEOUT_S) == requested("next")
        letter = await dead_letter(nats_system)
    assert (letter.payload, letter.subject, letter.deliveries) == (poison, subject, 1)
    assert heard.empty()


async def test_what_is_said_while_nobody_listens_is_heard_later(nats_system: NatsSystem) -> None:
    heard: asyncio.Queue[Event] = asyncio.Queue()

    async def note(event: Event, kept: Kept) -> None:
        heard.put_nowait(event)

    people = await nats_system.connect(Principal.OPERATOR)
    async with listening_to(nats_system, note):
        await publish(people, requested("first"))
        assert await asyncio.wait_for(heard.get(), TIMEOUT_S) == requested("first")
        await nats_system.kill()
        await nats_system.restart()
        await publish(people, requested("second"))
        while (later := await asyncio.wait_for(heard.get(), TIMEOUT_S)) == requested("first"):
            pass  # its acknowledgement may have died with the server
        assert later == requested("second")


async def test_one_trace_runs_from_publisher_to_handler(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    setup_tracing("test", tmp_path)
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def note(event: Event, kept: Kept) -> None:
        heard.put_nowait(current_traceparent())

    async with listening_to(nats_system, note):
        with span("ask") as traceparent:
            await publish(await nats_system.connect(Principal.OPERATOR), requested("traced"))
        inside = await asyncio.wait_for(heard.get(), TIMEOUT_S)
    assert traceparent
    _, trace_id, span_id, _ = traceparent.split("-")
    assert inside.split("-")[1] == trace_id
    assert inside.split("-")[2] != span_id


async def dead_letter(system: NatsSystem) -> DeadLettered:
    """Wait for the one dead letter of the consumer under test."""
    people = await system.connect(Principal.OPERATOR)
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            value = await last_value(
                people, DeadLettered, stream=REQUESTS.stream.value, consumer=REQUESTS.durable
            )
            if value is not None:
                return value.event
            await asyncio.sleep(0.05)  # stored once the last delivery was refused
