"""Puts a message that no handler could take aside, whole, and takes it off its consumer."""

from __future__ import annotations

import logging
from datetime import datetime, timezone

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
    log(
        _logger,
        "message.dead_lettered",
        level=logging.ERROR,
        subject=delivery.subject,
        stream=delivery.stream,
        sequence=delivery.sequence,
        error=repr(error),
    )
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
    message_id = f"{delivery.stream}:{delivery.consumer}:{delivery.sequence}"
    await publish(connection, record, message_id=message_id)
    await delivery.terminate()
