"""Questions and answers over core NATS; a refusal arrives as a refusal, not as a timeout."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.bus.logs import Said, log
from fleetward.bus.tracing import headers_of_span, span, traceparent_in
from fleetward.contracts.catalog import request_row_of
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.event import Event
from fleetward.contracts.rows import RequestRow

_logger = logging.getLogger(__name__)

MAX_REQUESTS_AT_ONCE = 32
REFUSED = "Fleetward-Refused"
_ANSWER_PREFIXES = ("_INBOX_", "_R_.")
"""Where an answer may go: a caller's inbox, or the server's own mapping between accounts."""

_Request = TypeVar("_Request", bound=Event)


async def ask(connection: Client, request: Event, *, timeout_s: float | None = None) -> Any:  # noqa: ANN401 (the Struct that the catalog pairs with this request)
    """Ask, and return the reply Struct that the catalog pairs with ``request``.

    Raises RefusedError with the responder's own words, NoAnswerError when nobody answers.
    """
    row = request_row_of(type(request))
    wait_s = row.timeout_s if timeout_s is None else timeout_s
    try:
        reply = await connection.request(
            row.subject_of(request),
            encode(request),
            timeout=wait_s,
            headers=headers_of_span() or None,
        )
    except nats.errors.NoRespondersError as problem:
        raise NoAnswerError(
            f"{row.responder.value} did not answer {type(request).__name__}: nobody listens for it. "
            "Is it running, and of a release that knows this question?"
        ) from problem
    except (nats.errors.Error, asyncio.TimeoutError) as problem:
        raise NoAnswerError(
            f"{row.responder.value} did not answer {type(request).__name__} within {wait_s:g} s "
            f"({type(problem).__name__}). Is it running?"
        ) from problem
    refused = (reply.headers or {}).get(REFUSED)
    if refused is not None:
        raise RefusedError(refused, reply.data.decode("utf-8", "replace"))
    return decode(reply.data, row.reply)


async def answer(
    connection: Client,
    request: type[_Request],
    handler: Callable[[_Request], Awaitable[Event]],
) -> Subscription:
    """Answer ``request`` with ``handler``; returns once the server knows that somebody answers.

    Replicas share the work as one queue group.
    A FleetwardError of the handler reaches the caller as a RefusedError with the same message.
    """
    row = request_row_of(request)
    slots = asyncio.Semaphore(MAX_REQUESTS_AT_ONCE)
    running: set[asyncio.Task[None]] = set()

    async def serve(message: Msg) -> None:
        async with slots:
            payload, refused = await _outcome(row, request, handler, message)
            headers = {REFUSED: refused} if refused else None
            await connection.publish(message.reply, payload, headers=headers)

    async def received(message: Msg) -> None:
        if not message.reply.startswith(_ANSWER_PREFIXES):
            log(_logger, "request.reply_refused", level=logging.WARNING, subject=message.subject)
            return
        task = asyncio.get_running_loop().create_task(serve(message))
        running.add(task)
        task.add_done_callback(running.discard)

    subscription = await connection.subscribe(row.pattern, queue=row.responder.value, cb=received)
    await connection.flush()
    return subscription


async def _outcome(
    row: RequestRow,
    request: type[_Request],
    handler: Callable[[_Request], Awaitable[Event]],
    message: Msg,
) -> tuple[bytes, str]:
    """The reply's payload, and the error's class name when it is a refusal."""
    with span(f"answer {request.__name__}", traceparent_in(message.headers)):
        try:
            asked = decode(message.data, request)
            if row.subject_of(asked) != message.subject:
                raise UnreadableMessageError(
                    f"{request.__name__} on {message.subject} names somebody else."
                )
            return encode(await handler(asked)), ""
        except FleetwardError as error:
            code = error.code if isinstance(error, RefusedError) else type(error).__name__
            return str(error).encode(), code
        except Exception as error:  # a caller must hear of a defect too, not wait for a timeout
            _logger.exception(Said("request.failed", {"subject": message.subject}))
            return (
                f"{request.__name__} failed: {error!r}. See the log of {row.responder.value}.".encode(),
                "InternalError",
            )
