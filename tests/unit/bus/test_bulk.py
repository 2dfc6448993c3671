"""What is sent in one go are the bytes that nats-py sends for each message, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client

from fleetward.bus.bulk import Message, send_all
from fleetward.bus.errors import BusError

MESSAGES = [
    Message("fleet.one.r1", {"Nats-Batch-Id": "x", "Nats-Batch-Sequence": "1"}, b""),
    Message("fleet.none", {}, b"said"),
    Message("fleet.two.r2", {"Nats-Batch-Sequence": "2"}, bytes(range(256))),
]
INFO = b'INFO {"max_payload":1048576,"headers":true}\r\n'
LIMIT_S = 20


class Heard:
    """A server that only listens: everything a client said up to its ping."""

    def __init__(self) -> None:
        self.said = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        while line := await reader.readline():
            self.said += line
            if line == b"PING\r\n":
                writer.write(b"PONG\r\n")
        writer.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Client, Heard]]:
    heard = Heard()
    server = await asyncio.start_server(heard.serve, "127.0.0.1", 0)
    connection = Client()
    async with asyncio.timeout(LIMIT_S):
        port = server.sockets[0].getsockname()[1]
        await connection.connect(f"nats://127.0.0.1:{port}")
        heard.said = b""
        yield connection, heard
        await connection.close()
    server.close()


async def test_they_are_the_bytes_that_publish_sends_for_each() -> None:
    async with connected() as (connection, heard):
        for message in MESSAGES:
            await connection.publish(
                message.subject, message.payload, headers=dict(message.headers) or None
            )
        await connection.flush()
        one_by_one, heard.said = heard.said, b""
        counted = dict(connection.stats)
        await send_all(connection, MESSAGES)
        await connection.flush()
    assert heard.said == one_by_one
    assert b"fleet.two.r2" in heard.said
    for which in ("out_msgs", "out_bytes"):
        assert connection.stats[which] == 2 * counted[which]


@pytest.mark.parametrize("subject", ["", "two words", "fleet.r1\r\nPUB fleet.r2 0", "fleet.r1\n"])
async def test_subject_that_would_end_its_line_is_refused_with_all_others(subject: str) -> None:
    async with connected() as (connection, heard):
        with pytest.raises(BusError, match="no subject"):
            await send_all(connection, [*MESSAGES, Message(subject, {}, b"")])
        await send_all(connection, [])
        await connection.flush()
    assert heard.said == b"PING\r\n"
