"""Puts a message that no handler could take aside, whole, and takes it off its consumer."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from hashlib import sha256

from nats.aio.client import Client

from fleetward.bus.deliveries import Delivery
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.contracts.dead_letter import DeadLettered

_logger = logging.getLogger(__name__)

MAX_ERROR_CHARACTERS = 500


async def bury(connection: Client, delivery: Delivery, error: Exception) -> None:
    """Dead-letter one delivery, then terminate it; a failure in between only buries it twice.

    Raises PublishError when the dead letter was not stored: the delivery then comes again.
    """
    await keep(connection, delivery, error)
    await delivery.terminate()


async def keep(connection: Client, delivery: Delivery, error: Exception) -> None:
    """Dead-letter one delivery and leave its answer to the caller; raises PublishError.

    The letter's id has the payload's digest in it: after a crash an asynchronous stream may give
    the same sequence to another message.
    """
    record = DeadLettered(
        stream=delivery.stream,
        consumer=delivery.consumer,
        stream_sequence=delivery.sequence,
        subject=delivery.subject,
        payload=delivery.payload,
        error=repr(error)[:MAX_ERROR_CHARACTERS],
        deliveries=delivery.deliveries,
        dead_lettered_at=datetime.now(timezone.utc),
    )
    digest = sha256(delivery.payload).hexdigest()[:16]
    message_id = f"{delivery.stream}:{delivery.consumer}:{delivery.sequence}:{digest}"
    await publish(connection, record, message_id=message_id)
    log(
        _logger,
        "message.dead_lettered",
        level=logging.ERROR,
        subject=delivery.subject,
        stream=delivery.stream,
        sequence=delivery.sequence,
        error=repr(error),
    )
