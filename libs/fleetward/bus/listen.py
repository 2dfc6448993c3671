"""Handlers of control-plane facts on FastStream: retried with backoff, then dead-lettered.

FastStream's own default would terminate, and so lose, a message on any exception. Telemetry
takes ``pull.Pull`` instead, which costs a fifth per message.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

from faststream import AckPolicy, BaseMiddleware
from faststream.exceptions import HandlerException, NackMessage, RejectMessage
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.security import NatsCredentials
from msgspec import Struct

from fleetward.bus.connection import BusSettings, connection_options, exit_process, watch_reader
from fleetward.bus.dead_letters import bury
from fleetward.bus.deliveries import Delivery, decode_from
from fleetward.bus.logs import log
from fleetward.bus.tracing import span, traceparent_in
from fleetward.contracts.catalog import row_of_subject
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.event import Event
from fleetward.contracts.rows import ConsumerRow

_logger = logging.getLogger(__name__)

BACKOFF_S = (0.5, 2.0, 10.0, 30.0)
"""Pause before each further delivery; after the last one the message is dead-lettered."""
FETCH_TIMEOUT_S = 5.0
GRACEFUL_STOP_S = 5.0


class Kept(Struct, frozen=True):
    """Where and when (UTC) the server stored a fact: the same for every copy of it."""

    sequence: int
    stored_at: datetime


Handler = Callable[[Event, Kept], Awaitable[None]]


async def connect_broker(settings: BusSettings) -> NatsBroker:
    """A connected FastStream broker; ``broker.connection`` is the nats-py client beneath it.

    The process exits when the server refuses its credentials for good: FastStream's pull loop
    would spin on a closed connection.
    """

    async def error(problem: Exception) -> None:
        log(_logger, "bus.error", level=logging.WARNING, name=settings.name, error=repr(problem))

    async def closed() -> None:
        if broker.running:  # else it is stopping on purpose
            await exit_process()

    options = connection_options(settings)
    broker = NatsBroker(
        security=NatsCredentials(options.pop("user_credentials")),
        **options,
        error_cb=error,
        closed_cb=closed,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        middlewares=[_RetryOrDeadLetter],
        graceful_timeout=GRACEFUL_STOP_S,
        apply_types=False,
        logger=None,
    )
    await broker.connect()
    watch_reader(broker.connection, settings.reader_check_s)
    return broker


def listen(broker: NatsBroker, consumer: ConsumerRow, handler: Handler) -> None:
    """Feed ``handler`` the facts of a durable consumer, one at a time; begins at broker.start().

    ``declare=False``: a stream named by a bare string would be reset to FastStream's defaults.
    """
    stream = JStream(consumer.stream.value, declare=False)

    async def handle(message: NatsMessage) -> None:
        raw: Any = message.raw_message
        event = decode_from(raw.subject, raw.data)
        kind = row_of_subject(raw.subject).kind
        with span(f"handle {kind}", traceparent_in(raw.headers)):
            await handler(event, _kept(raw))

    subscriber = broker.subscriber(
        consumer.durable,
        stream=stream,
        durable=consumer.durable,
        pull_sub=PullSub(batch_size=1, timeout=FETCH_TIMEOUT_S),
        # Left out, FastStream listens below the shared _INBOX, which no principal may hear.
        inbox_prefix=bytes(broker.connection._inbox_prefix) + b".",  # noqa: SLF001
        decoder=_undecoded,
    )
    subscriber(handle)


def _kept(raw: Any) -> Kept:  # noqa: ANN401 (nats-py's message, which FastStream does not type)
    stored_at = raw.metadata.timestamp.astimezone(timezone.utc)
    return Kept(raw.metadata.sequence.stream, stored_at)


async def _undecoded(message: NatsMessage) -> NatsMessage:
    """Keeps FastStream from decoding: a fact is decoded by its subject, inside the span."""
    return message


class _RetryOrDeadLetter(BaseMiddleware):
    """Turns a handler's error into a delayed redelivery, or a dead letter when it is hopeless."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:  # noqa: ANN401 (FastStream's own signature)
        try:
            return await call_next(msg)
        except HandlerException:
            raise
        except Exception as error:  # every failure gets an answer: later, or never with a record
            connection = self.context.get("broker").connection
            delivery = Delivery(connection, msg.raw_message)
            hopeless = isinstance(error, UnreadableMessageError)
            if hopeless or delivery.deliveries > len(BACKOFF_S):
                await bury(connection, delivery, error)
                raise RejectMessage from error
            log(
                _logger,
                "listen.retried",
                level=logging.WARNING,
                subject=delivery.subject,
                deliveries=delivery.deliveries,
                error=repr(error),
            )
            raise NackMessage(delay=BACKOFF_S[delivery.deliveries - 1]) from error
