"""One ranged GET: it ends with exactly the bytes asked for, or with an error, and never hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from msgspec import Struct
from yarl import URL

from edge_bridge.errors import FetchInterruptedError, FetchRefusedError
from edge_bridge.fetching.limits import RangeLimits
from edge_bridge.fetching.throttle import Throttle

_PARTIAL_CONTENT = 206
_OK = 200
_EXPIRED = frozenset({401, 403})
_GONE = frozenset({404, 410, 416})
_REDIRECTS_FROM = 300
_REDIRECTS_TO = 399

Take = Callable[[bytes], Awaitable[None]]
"""Takes the bytes of a range, block after block."""


class UrlExpiredError(FetchInterruptedError):
    """The presigned URL is no longer honoured: ask for another."""


class Place(Struct, frozen=True):
    """Where to GET an object, and the headers that belong to that place.

    ``patience_s``: how long it may be silent, where that is longer than a store may.
    """

    url: str
    headers: Mapping[str, str] = {}
    patience_s: float = 0.0


class Range(Struct, frozen=True):
    """``length`` bytes from ``offset`` on."""

    offset: int
    length: int

    def __str__(self) -> str:
        return f"bytes {self.offset} to {self.offset + self.length}"


async def read_range(
    session: aiohttp.ClientSession,
    place: Place,
    wanted: Range,
    limits: RangeLimits,
    throttle: Throttle,
    take: Take,
) -> None:
    """GET ``wanted`` and hand it to ``take`` as it comes, which is never more than was asked for.

    Raises UrlExpiredError, FetchInterruptedError (try again), FetchRefusedError (never), or what
    ``take`` raises.
    """
    try:
        await asyncio.wait_for(
            _transfer(session, place, wanted, limits, throttle, take),
            place.patience_s + limits.deadline_s(wanted.length, throttle),
        )
    except (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError) as problem:
        raise FetchInterruptedError(
            f"{wanted} did not all arrive ({str(problem) or type(problem).__name__}); the rest is "
            "asked for again."
        ) from problem


async def _transfer(
    session: aiohttp.ClientSession,
    place: Place,
    wanted: Range,
    limits: RangeLimits,
    throttle: Throttle,
    take: Take,
) -> None:
    last = wanted.offset + wanted.length - 1
    received = 0
    async with session.get(
        URL(place.url, encoded=True),
        headers={
            **place.headers,
            "Range": f"bytes={wanted.offset}-{last}",
            "Accept-Encoding": "identity",
        },
        allow_redirects=False,
        read_bufsize=limits.block_bytes,
        timeout=aiohttp.ClientTimeout(
            total=None,
            sock_connect=limits.connect_timeout_s,
            sock_read=max(limits.stall_timeout_s, place.patience_s),
        ),
    ) as response:
        _check_answer(response, wanted)
        async for block in response.content.iter_any():
            received += len(block)
            await throttle.take(len(block))
            await take(block)
    if received != wanted.length:
        raise FetchInterruptedError(f"{received} of {wanted.length} bytes arrived.")


def _check_answer(response: aiohttp.ClientResponse, wanted: Range) -> None:
    """Raise unless this is the range asked for; 200 is taken only for a whole object."""
    status = response.status
    if status in _EXPIRED:
        raise UrlExpiredError(f"the object store answered {status}; a fresh URL is asked for.")
    if status in _GONE or _REDIRECTS_FROM <= status <= _REDIRECTS_TO:
        raise FetchRefusedError(
            f"the object store answered {status} {response.reason} for {wanted}. Publish the "
            "model again."
        )
    is_whole = status == _OK and (wanted.offset, wanted.length) == (0, response.content_length)
    if status == _OK and not is_whole:
        raise FetchRefusedError("the object store ignores ranges. Use one that honours them.")
    if status not in (_OK, _PARTIAL_CONTENT):
        raise FetchInterruptedError(f"the object store answered {status} {response.reason}.")
    answered = response.headers.get("Content-Range", "")
    expected = f"bytes {wanted.offset}-{wanted.offset + wanted.length - 1}/"
    _refuse_short(answered, wanted)
    if not is_whole and not answered.startswith(expected):
        raise FetchInterruptedError(f"the answer is {answered!r}, not {expected!r}.")
    if response.content_length != wanted.length:
        # Without its length a body may bring more than was asked for, and more than a cap allows.
        raise FetchInterruptedError(
            f"the answer announces {response.content_length} bytes, not {wanted.length}."
        )


def _refuse_short(answered: str, wanted: Range) -> None:
    """Raise when the object ends before the range does: it will be no longer the next time."""
    size = answered.rpartition("/")[2]
    if size.isdecimal() and int(size) < wanted.offset + wanted.length:
        raise FetchRefusedError(
            f"the object is {size} bytes long and {wanted} are part of it. Publish the model again."
        )
