"""A durable consumer's messages reach their handler in order, and none is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from fleetward.bus import pull
from fleetward.bus.dead_letters import bury
from fleetward.bus.deliveries import Delivery
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.pull import Pull
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import UnreadableMessageError, encode
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.robots import RobotCheckedIn
from fleetward.contracts.rows import ConsumerRow, Principal
from testkit.servers import NatsSystem
from tests.integration.bus.speech import consumer, heartbeat, summary

HEALTH = consumer("coordinator-health")
ROBOTS = consumer("coordinator-robots")
TIMEOUT_S = 60.0

Handler = Callable[[Sequence[Delivery]], Awaitable[None]]


class Heard:
    """The numbers of the windows that a handler took, in the order it took them."""

    def __init__(self) -> None:
        self.windows: list[int] = []
        self._more = asyncio.Condition()

    async def note(self, deliveries: Sequence[Delivery]) -> None:
        """Take them and acknowledge them."""
        async with self._more:
            for delivery in deliveries:
                self.windows.append(delivery.decode().window)
                await delivery.ack()
            self._more.notify_all()

    async def until(self, wanted: set[int]) -> None:
        """Wait until all of these were taken."""
        async with asyncio.timeout(TIMEOUT_S), self._more:
            await self._more.wait_for(lambda: wanted <= set(self.windows))


@asynccontextmanager
async def pulling(
    connection: Client, handler: Handler, batch: int = 100, row: ConsumerRow = HEALTH
) -> AsyncIterator[None]:
    puller = Pull(connection, row, handler, batch=batch, max_wait_s=lambda: 0.05)
    await puller.start()
    try:
        yield
    finally:
        await puller.stop()


async def sent(connection: Client, numbers: Sequence[int]) -> None:
    for number in numbers:
        await publish(connection, summary("robot-a", number))


async def test_messages_come_in_order_and_once(nats_system: NatsSystem) -> None:
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    ingest = await nats_system.connect(Principal.INGEST)
    heard = Heard()
    await sent(ingest, range(250))
    async with pulling(coordinator, heard.note):
        await sent(ingest, range(250, 300))
        await heard.until(set(range(300)))
    assert heard.windows == list(range(300))


async def test_batches_are_bounded(nats_system: NatsSystem) -> None:
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    heard, sizes = Heard(), []

    async def note(deliveries: Sequence[Delivery]) -> None:
        sizes.append(len(deliveries))
        await heard.note(deliveries)

    await sent(await nats_system.connect(Principal.INGEST), range(100))
    async with pulling(coordinator, note, batch=30):
        await heard.until(set(range(100)))
    assert max(sizes) <= 30


async def test_refused_message_comes_again_later(nats_system: NatsSystem) -> None:
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    heard = Heard()
    refused: list[int] = []

    async def note(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            if delivery.decode().window == 2 and delivery.deliveries == 1:
                refused.append(2)
                await delivery.nak(0.1)
            else:
                await heard.note([delivery])

    await sent(await nats_system.connect(Principal.INGEST), range(5))
    async with pulling(coordinator, note):
        await heard.until(set(range(5)))
    assert refused == [2]
    assert heard.windows == [0, 1, 3, 4, 2]


async def test_batch_of_a_handler_that_raises_comes_again(
    nats_system: NatsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "RETRY_DELAY_S", 0.05)
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    heard = Heard()
    raised: list[int] = []

    async def note(deliveries: Sequence[Delivery]) -> None:
        if not raised:
            raised.append(len(deliveries))
            raise OSError("the disk is full")
        await heard.note(deliveries)

    await sent(await nats_system.connect(Principal.INGEST), range(20))
    async with pulling(coordinator, note):
        await heard.until(set(range(20)))
    assert sorted(heard.windows) == list(range(20))


async def test_message_that_breaks_its_handler_is_dead_lettered_alone(
    nats_system: NatsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull, "RETRY_DELAY_S", 0.05)
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    heard = Heard()

    async def note(deliveries: Sequence[Delivery]) -> None:
        if any(delivery.decode().window == 3 for delivery in deliveries):
            raise ZeroDivisionError("three")
        await heard.note(deliveries)

    await sent(await nats_system.connect(Principal.INGEST), range(6))
    async with pulling(coordinator, note):
        await heard.until({0, 1, 2, 4, 5})
        letter = await dead_letter(nats_system, HEALTH)
    assert letter.payload == encode(summary("robot-a", 3))
    assert letter.error == "ZeroDivisionError('three')"
    assert letter.deliveries == HEALTH.max_deliver
    assert sorted(heard.windows) == [0, 1, 2, 4, 5]


async def test_robot_that_speaks_as_another_is_dead_lettered(nats_system: NatsSystem) -> None:
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    robot = await nats_system.connect("robot-a")
    own = row_of(RobotCheckedIn).subject_of(heartbeat("robot-a", 1))
    lie = encode(heartbeat("robot-b", 1))

    async def note(deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            with pytest.raises(UnreadableMessageError, match="speaks for somebody else") as caught:
                delivery.decode()
            await bury(coordinator, delivery, caught.value)

    async with pulling(coordinator, note, row=ROBOTS):
        await robot.jetstream().publish(own, lie)
        letter = await dead_letter(nats_system, ROBOTS)
    assert (letter.subject, letter.payload) == (own, lie)


@pytest.mark.timeout(60)
async def test_killed_server_loses_nothing_that_was_acknowledged(nats_system: NatsSystem) -> None:
    """Some come twice: their acknowledgements were on the way when the server died."""
    coordinator = await nats_system.connect(Principal.COORDINATOR)
    ingest = await nats_system.connect(Principal.INGEST)
    heard = Heard()
    async with pulling(coordinator, heard.note, batch=20):
        await sent(ingest, range(200))
        await nats_system.kill()
        await nats_system.restart()
        await sent(ingest, range(200, 300))
        await heard.until(set(range(300)))


async def dead_letter(system: NatsSystem, row: ConsumerRow) -> DeadLettered:
    """Wait for the one dead letter of a consumer."""
    people = await system.connect(Principal.OPERATOR)
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            value = await last_value(
                people, DeadLettered, stream=row.stream.value, consumer=row.durable
            )
            if value is not None:
                return value.event
            await asyncio.sleep(0.05)  # stored once the last delivery was refused
