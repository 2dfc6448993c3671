"""A way to the real store on which requests fail from the one on that a test names."""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.integration.model_registry.failing_scratch import NEVER

READ_BYTES = 64 * 1024
_REQUEST = re.compile(rb"\A(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1\.1\r\n")
_PROBLEM = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>%s</Message></Error>"


class Failure(enum.Enum):
    """What becomes of a request."""

    FULL = "the store has no space left, and says so"
    BROKEN = "the store cannot read its disk, and says so"
    UNHEARD = "the connection breaks before the store hears of it"
    UNANSWERED = "the store does it, and the connection breaks before it can say so"


class FailingStore:
    """Passes requests on; made by ``failing_store``.

    ``arrived`` holds the last part of the key of each uploaded object that the store took in full.
    """

    def __init__(self, endpoint: str, failure: Failure) -> None:
        self._store = urlsplit(endpoint)
        self._failure = failure
        self.endpoint = ""
        self.arrived: list[str] = []
        self.fail_at(NEVER)

    def fail_at(self, point: int) -> None:
        """Count anew from 0, and fail every request from ``point`` on until told otherwise."""
        self.operations = 0
        self._fails_at = point

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._store.hostname, self._store.port)
        way = _Way(there, writer, self.arrived)
        answers = asyncio.ensure_future(way.pump())
        try:
            while part := await reader.read(READ_BYTES):
                request = _REQUEST.match(part)
                if request is not None and not self._passes(way):
                    if self._failure in (Failure.FULL, Failure.BROKEN):
                        await self._refuse(reader, writer)
                    break
                if request is not None:
                    self._note(way, request[1].decode(), request[2].decode())
                back.write(part)
                await back.drain()
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            back.close()
            writer.close()

    def _passes(self, way: _Way) -> bool:
        self.operations += 1
        way.silent = self.operations > self._fails_at
        return not way.silent or self._failure is Failure.UNANSWERED

    def _note(self, way: _Way, method: str, path: str) -> None:
        key, _, query = path.partition("?")
        is_whole = "uploadId=" in query if method == "POST" else "partNumber=" not in query
        if method in ("PUT", "POST") and "/uploads/" in key and is_whole:
            way.arriving = key.rpartition("/")[2]

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = _PROBLEM % self._failure.value.encode()
        writer.write(b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.write_eof()
        while await reader.read(READ_BYTES):  # or the answer is lost with what was still to come
            pass


class _Way:
    """What comes back from the store on one connection."""

    def __init__(
        self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: list[str]
    ) -> None:
        self._there = there
        self._writer = writer
        self._arrived = arrived
        self.silent = False
        self.arriving = ""

    async def pump(self) -> None:
        with suppress(ConnectionError):
            while part := await self._there.read(READ_BYTES):
                if self.arriving and part.startswith(b"HTTP/1.1 200"):
                    self._arrived.append(self.arriving)
                self.arriving = ""
                if self.silent:
                    self._writer.close()
                    return
                self._writer.write(part)
                await self._writer.drain()


@asynccontextmanager
async def failing_store(endpoint: str, failure: Failure) -> AsyncIterator[FailingStore]:
    """A FailingStore in front of ``endpoint``, at its own."""
    store = FailingStore(endpoint, failure)
    server = await asyncio.start_server(store.serve, "127.0.0.1", 0)
    async with server:
        store.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield store
