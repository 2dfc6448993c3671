"""Web services that never come to an end with their answer silence no other gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.contracts.codec import decode
from fleetward.contracts.gates import GateAnswered, Verdict
from rollout_coordinator.gatekeeper import MAX_ASKED_AT_ONCE, Gatekeeper, GatekeeperLimits
from rollout_coordinator.gates import Question, questions
from tests.unit.rollout_coordinator.scenes import START
from tests.unit.rollout_coordinator.test_gates import waiting_at_wave_2

LIMITS = GatekeeperLimits(answer_timeout_s=0.2, retry_wait_s=0.1)
WAIT_S = 20.0
Service = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Told:
    """The connection to the bus: keeps what the gatekeeper publishes, by gate."""

    def __init__(self) -> None:
        self.answers: dict[str, GateAnswered] = {}
        self._news = asyncio.Condition()

    def jetstream(self) -> Told:
        return self

    async def publish(self, _subject: str, payload: bytes, **_options: object) -> SimpleNamespace:
        answer = decode(payload, GateAnswered)
        async with self._news:
            self.answers[answer.gate] = answer
            self._news.notify_all()
        return SimpleNamespace(seq=len(self.answers))

    async def verdict(self, gate: str, verdict: Verdict) -> None:
        """Return once the gate was answered so."""
        async with self._news, asyncio.timeout(WAIT_S):
            await self._news.wait_for(
                lambda: gate in self.answers and self.answers[gate].verdict is verdict
            )


async def hangs(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Takes the question and never says a word."""
    await reader.read()


async def dribbles(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins to answer, and never comes to an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await asyncio.sleep(0.01)


async def agrees(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says yes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall  good")
    await writer.drain()


async def floods(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says no, and why, without end."""
    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 100000000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"ghosts " * 1000)
        await writer.drain()


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[str]:
    """Its address."""
    server = await asyncio.start_server(service, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}/gate"
    finally:
        server.close()


def asks(gate: str, url: str) -> Question:
    (question,) = questions(waiting_at_wave_2())
    return replace(question, gate=gate, url=url)


@asynccontextmanager
async def asked(*asked_of: Question) -> AsyncIterator[Told]:
    told = Told()
    gatekeeper = Gatekeeper(cast(Client, told), LIMITS, lambda: START)
    gatekeeper.look(asked_of)
    yield told
    await gatekeeper.close()


@pytest.mark.parametrize("dead", [hangs, dribbles])
async def test_more_dead_web_services_than_are_asked_at_once_silence_no_other_gate(
    dead: Service,
) -> None:
    async with serving(dead) as dead_url, serving(agrees) as live_url:
        gone = [asks(f"dead-{number}", dead_url) for number in range(MAX_ASKED_AT_ONCE + 1)]
        async with asked(*gone, asks("live", live_url)) as told:
            await told.verdict("live", Verdict.PASSED)
            for question in gone:
                await told.verdict(question.gate, Verdict.ERROR)
    assert told.answers.pop("live").reason == "all good"
    assert {answer.reason for answer in told.answers.values()} == {
        "it does not answer (TimeoutError)"
    }


async def test_a_no_without_end_is_heard_as_far_as_anybody_reads() -> None:
    async with serving(floods) as url, asked(asks("twin", url)) as told:
        await told.verdict("twin", Verdict.REFUSED)
    assert told.answers["twin"].reason.startswith("ghosts ghosts")


async def test_an_address_that_nobody_can_ask_is_an_error_of_its_gate() -> None:
    async with asked(asks("twin", "http://[::1/gate")) as told:
        await told.verdict("twin", Verdict.ERROR)
    assert "InvalidURL" in told.answers["twin"].reason
