"""How many facts a second our handlers take, against raw nats-py pull on the same server."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace as replace_config
from datetime import datetime, timezone
from pathlib import Path

from nats.aio.client import Client

from fleetward.bus.deliveries import Delivery, decode_from
from fleetward.bus.listen import Kept, connect_broker, listen
from fleetward.bus.provision import consumer_config
from fleetward.bus.pull import Pull
from fleetward.contracts.catalog import CONSUMERS, row_of
from fleetward.contracts.codec import encode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, digest, robot_id
from fleetward.contracts.rows import ConsumerRow, Principal
from fleetward.contracts.telemetry import InferenceSummarized
from testkit.servers import NatsSystem
from tests.bench.measurement import Measurement

FACTS = 4000
ROBOTS = 200
ROUNDS = 3
PUBLISH_TIMEOUT_S = 30
CONSUMER = next(row for row in CONSUMERS if InferenceSummarized in row.events)
RAW_BATCH = 100
PUBLISH_WINDOW = 200

Taker = Callable[[NatsSystem, Client, ConsumerRow], Awaitable[None]]


async def measure() -> list[Measurement]:
    """Facts per second of the continuous pull and of the FastStream listener, decode included."""
    with tempfile.TemporaryDirectory() as directory:
        system = NatsSystem(Path(directory))
        await system.start()
        try:
            rates = await _rates(system)
        finally:
            await system.close_connections()
            await system.stop()
    raw = rates["raw"]
    against = f"raw nats-py fetch({RAW_BATCH}) + decode + ack: {raw:,.0f}/s"
    pull, listened = rates["pull"], rates["listen"]
    return [
        Measurement(
            name="facts handled by bus.pull",
            value=pull,
            unit="facts/s",
            ratio=pull / raw,
            against=against,
            goal=">= 1x raw",
            met=pull >= raw,
        ),
        Measurement(
            name="facts handled by bus.listen (FastStream, one at a time, traced)",
            value=listened,
            unit="facts/s",
            ratio=listened / raw,
            against=against,
            goal=">= 0.05x raw: requests are few",
            met=listened >= 0.05 * raw,
        ),
    ]


async def _rates(system: NatsSystem) -> dict[str, float]:
    """The median of some alternating rounds, in facts per second."""
    provisioner = await system.connect(Principal.PROVISIONER)
    connection = await system.connect(Principal.COORDINATOR)
    await _publish_facts(await system.connect(Principal.INGEST))
    takers: dict[str, Taker] = {"raw": _take_raw, "pull": _take_pull, "listen": _take_listen}
    rounds: dict[str, list[float]] = {name: [] for name in takers}
    for _ in range(ROUNDS):
        for name, take in takers.items():
            await _rewind(provisioner)
            began = time.perf_counter()
            await take(system, connection, CONSUMER)
            rounds[name].append(FACTS / (time.perf_counter() - began))
    return {name: statistics.median(found) for name, found in rounds.items()}


async def _publish_facts(connection: Client) -> None:
    jetstream = connection.jetstream(timeout=PUBLISH_TIMEOUT_S)
    at = datetime.now(timezone.utc)
    for start in range(0, FACTS, PUBLISH_WINDOW):
        window = []
        for number in range(start, start + PUBLISH_WINDOW):
            fact = InferenceSummarized(
                robot_id=robot_id(f"robot-{number % ROBOTS}"),
                boot_id=BootId("boot"),
                window=number,
                digest=digest("sha256:" + "0" * 64),
                started_at=at,
                duration_s=1.0,
                inferences=10,
            )
            subject = row_of(InferenceSummarized).subject_of(fact)
            window.append(jetstream.publish(subject, encode(fact)))
        await asyncio.gather(*window)


async def _rewind(provisioner: Client) -> None:
    """Make the consumer anew, so that it begins with the first fact again."""
    jetstream = provisioner.jetstream()
    await jetstream.delete_consumer(CONSUMER.stream.value, CONSUMER.durable)
    await jetstream.add_consumer(
        CONSUMER.stream.value, replace_config(consumer_config(CONSUMER), max_ack_pending=2 * FACTS)
    )


async def _take_raw(system: NatsSystem, connection: Client, consumer: ConsumerRow) -> None:
    subscription = await connection.jetstream().pull_subscribe_bind(
        consumer.durable, stream=consumer.stream.value
    )
    taken = 0
    while taken < FACTS:
        for message in await subscription.fetch(RAW_BATCH, timeout=5):
            decode_from(message.subject, message.data)
            await message.ack()
            taken += 1
    await subscription.unsubscribe()


async def _take_pull(system: NatsSystem, connection: Client, consumer: ConsumerRow) -> None:
    taken, done = 0, asyncio.Event()

    async def handle(deliveries: Sequence[Delivery]) -> None:
        nonlocal taken
        for delivery in deliveries:
            delivery.decode()
            await delivery.ack()
        taken += len(deliveries)
        if taken >= FACTS:
            done.set()

    pull = Pull(connection, consumer, handle, max_wait_s=lambda: 0.01)
    await pull.start()
    await done.wait()
    await pull.stop()


async def _take_listen(system: NatsSystem, connection: Client, consumer: ConsumerRow) -> None:
    taken, done = 0, asyncio.Event()

    async def handle(event: Event, kept: Kept) -> None:
        nonlocal taken
        taken += 1
        if taken >= FACTS:
            done.set()

    broker = await connect_broker(system.settings(Principal.COORDINATOR))
    listen(broker, consumer, handle)
    await broker.start()
    await done.wait()
    await broker.stop()
