"""One ranged GET: it ends with exactly the bytes asked for, or with an error, and never hangs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable

import aiohttp
from msgspec import Struct

from edge_bridge.errors import FetchInterruptedError, FetchRefusedError
from edge_bridge.partial import PartialModel

_PARTIAL_CONTENT = 206
_OK = 200
_EXPIRED = frozenset({401, 403})
_GONE = frozenset({404, 410, 416})
_REDIRECTS_FROM = 300
_REDIRECTS_TO = 399


class UrlExpiredError(FetchInterruptedError):
    """The presigned URL is no longer honoured: ask for another."""


class RangeLimits(Struct, frozen=True, kw_only=True):
    """How patient one ranged GET is."""

    range_bytes: int = 4 * 1024 * 1024
    block_bytes: int = 256 * 1024
    connect_timeout_s: float = 10.0
    stall_timeout_s: float = 10.0
    """No byte for so long ends the attempt."""
    slowest_bytes_per_s: int = 4 * 1024
    """A range slower than this on the whole ends too: a drip must not hold a rollout."""

    def deadline_s(self, length: int) -> float:
        """The longest that ``length`` bytes may take."""
        return self.connect_timeout_s + self.stall_timeout_s + length / self.slowest_bytes_per_s


async def fetch_range(
    session: aiohttp.ClientSession,
    url: str,
    partial: PartialModel,
    limits: RangeLimits,
    on_bytes: Callable[[int], None],
) -> None:
    """Fetch the next range of ``partial`` and note it durable.

    Raises UrlExpiredError, FetchInterruptedError (try again), FetchRefusedError (never), or
    DiskFullError.
    """
    start = partial.durable_bytes
    length = min(limits.range_bytes, partial.size_bytes - start)
    try:
        digest_hex = await asyncio.wait_for(
            _transfer(session, url, partial, length, limits, on_bytes), limits.deadline_s(length)
        )
    except (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError) as problem:
        raise FetchInterruptedError(
            f"bytes {start} to {start + length} did not arrive ({problem!r}); they are asked for again."
        ) from problem
    # Outside the deadline: a note that a timeout left running would move durable_bytes under the
    # next attempt.
    await asyncio.to_thread(partial.note, length, digest_hex)


async def _transfer(
    session: aiohttp.ClientSession,
    url: str,
    partial: PartialModel,
    length: int,
    limits: RangeLimits,
    on_bytes: Callable[[int], None],
) -> str:
    """Write the range's bytes; return their SHA-256 in hex."""
    start = partial.durable_bytes
    hasher = hashlib.sha256()
    received = 0
    async with session.get(
        url,
        headers={"Range": f"bytes={start}-{start + length - 1}", "Accept-Encoding": "identity"},
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_timeout_s, sock_read=limits.stall_timeout_s
        ),
    ) as response:
        _check_answer(response, start, length, partial.size_bytes)
        async for block in response.content.iter_chunked(limits.block_bytes):
            on_bytes(len(block))
            if received + len(block) > length:
                raise FetchInterruptedError(f"more than the {length} bytes asked for arrived.")
            hasher.update(block)
            await asyncio.to_thread(partial.write, start + received, block)
            received += len(block)
    if received != length:
        raise FetchInterruptedError(f"{received} of {length} bytes arrived at {start}.")
    return hasher.hexdigest()


def _check_answer(
    response: aiohttp.ClientResponse, start: int, length: int, size_bytes: int
) -> None:
    """Raise unless this is the range asked for; 200 is taken only for the whole object."""
    status = response.status
    if status in _EXPIRED:
        raise UrlExpiredError(f"the object store answered {status}; a fresh URL is asked for.")
    if status in _GONE or _REDIRECTS_FROM <= status <= _REDIRECTS_TO:
        raise FetchRefusedError(
            f"the object store answered {status} {response.reason} for bytes {start} to "
            f"{start + length}. Publish the model again."
        )
    if status == _OK and (start, length) == (0, size_bytes):
        return
    if status == _OK:
        raise FetchRefusedError("the object store ignores ranges. Use one that honours them.")
    if status != _PARTIAL_CONTENT:
        raise FetchInterruptedError(f"the object store answered {status} {response.reason}.")
    answered = response.headers.get("Content-Range", "")
    expected = f"bytes {start}-{start + length - 1}/"
    held_bytes = answered.rpartition("/")[2]
    if held_bytes.isdecimal() and int(held_bytes) != size_bytes:
        raise FetchRefusedError(
            f"the object store holds {held_bytes} bytes and the model has {size_bytes}. Publish "
            "the model again."
        )
    if not answered.startswith(expected):
        raise FetchInterruptedError(f"the answer is {answered!r}, not {expected!r}.")
