"""A way to the store on which a test hears every request before the store does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

READ_BYTES = 64 * 1024
_REQUEST = re.compile(rb"\A(GET|PUT|HEAD|POST|DELETE) (\S+) HTTP/1\.1\r\n")

Heard = Callable[[str], Awaitable[None]]
"""Called with the method and the path of a request, for example ``PUT /bucket/key``."""


@asynccontextmanager
async def watched(endpoint: str, heard: Heard) -> AsyncIterator[str]:
    """An endpoint that leads to ``endpoint``; a request goes on once ``heard`` returned."""
    store = urlsplit(endpoint)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(store.hostname, store.port)
        answers = asyncio.ensure_future(_pump(there, writer))
        try:
            while part := await reader.read(READ_BYTES):
                request = _REQUEST.match(part)
                if request is not None:
                    await heard(f"{request[1].decode()} {request[2].decode()}")
                back.write(part)
                await back.drain()
        except ConnectionError:
            pass
        finally:
            answers.cancel()
            back.close()
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while part := await reader.read(READ_BYTES):
            writer.write(part)
            await writer.drain()
