"""What the catalog lets people and programs hear and read reaches them from every other account."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import TimeoutError as NatsTimeoutError

from fleetward.bus.last_values import last_value, last_values
from fleetward.contracts.accounts import account_of, streams_prefix
from fleetward.contracts.catalog import EVENTS
from fleetward.contracts.rows import PLACEHOLDER, EventRow, Principal
from testkit.servers import NatsSystem

P = Principal
STRANGERS = (P.OPERATOR, P.APPLICATION)
ROBOT = "robot-a"
ATTEMPTS = 40
HEARD = [
    (listener, row, producer)
    for listener in STRANGERS
    for row in EVENTS
    if listener in row.listeners
    for producer in row.producers
]
READ = [(reader, row) for reader in STRANGERS for row in EVENTS if reader in row.readers]


def subject_of(row: EventRow) -> str:
    return PLACEHOLDER.sub(ROBOT, row.subject)


@pytest.mark.parametrize(
    ("listener", "row", "producer"),
    HEARD,
    ids=[f"{who.value}-{row.kind}-from-{by.value}" for who, row, by in HEARD],
)
async def test_fact_is_heard_once_whoever_says_it(
    shared_nats_system: NatsSystem, listener: Principal, row: EventRow, producer: Principal
) -> None:
    hearing = await shared_nats_system.connect(listener)
    saying = await shared_nats_system.connect(ROBOT if producer is P.ROBOT else producer)
    facts = await hearing.subscribe(row.pattern)
    await hearing.flush()
    await say_until_heard(saying, subject_of(row), facts)
    await saying.publish(subject_of(row), b"once")
    await saying.publish(subject_of(row), b"end")
    heard = [await next_after_the_first(facts)]
    while heard[-1].data != b"end":
        heard.append(await facts.next_msg(timeout=3))
    assert [fact.data for fact in heard] == [b"once", b"end"]


async def say_until_heard(saying: Client, subject: str, facts: Subscription) -> None:
    """A subscription to another account may be deaf for its first milliseconds."""
    for _ in range(ATTEMPTS):
        await saying.publish(subject, b"first")
        try:
            await facts.next_msg(timeout=0.1)
        except NatsTimeoutError:
            continue
        return
    raise AssertionError(f"{subject} was never heard")


async def next_after_the_first(facts: Subscription) -> Msg:
    while True:
        fact = await facts.next_msg(timeout=3)
        if fact.data != b"first":
            return fact


@pytest.mark.parametrize(
    ("reader", "row"), READ, ids=[f"{who.value}-{row.kind}" for who, row in READ]
)
async def test_last_values_are_answered(
    nats_reader: dict[Principal, Client], reader: Principal, row: EventRow
) -> None:
    fields = dict.fromkeys(PLACEHOLDER.findall(row.subject), "nobody")
    connection = nats_reader[reader]
    assert await last_value(connection, row.event, timeout_s=30.0, **fields) is None
    assert await last_values(connection, row.event, timeout_s=30.0, **fields) == []
    assert row.stream is not None
    streams = connection.jetstream(prefix=streams_prefix(account_of(reader)))
    stream = await streams.stream_info(row.stream.value)
    assert stream.config.name == row.stream.value


@pytest.fixture
async def nats_reader(shared_nats_system: NatsSystem) -> dict[Principal, Client]:
    return {who: await shared_nats_system.connect(who) for who in STRANGERS}


async def test_answer_of_a_service_reaches_who_asked(shared_nats_system: NatsSystem) -> None:
    ingest = await shared_nats_system.connect(P.INGEST)

    async def answer(message: Msg) -> None:
        await ingest.publish(message.reply, b"stored: " + message.data)

    await ingest.subscribe("telemetry.query.v1", cb=answer)
    await ingest.flush()
    for who in STRANGERS:
        asking = await shared_nats_system.connect(who)
        replies = await asyncio.gather(
            *(asking.request("telemetry.query.v1", b"%d" % n, timeout=3) for n in range(20))
        )
        assert [reply.data for reply in replies] == [b"stored: %d" % n for n in range(20)]
