"""Keeps what cannot be stored as telemetry, so that poison is looked at and never retried."""

from __future__ import annotations

import logging
from datetime import datetime, timezone
from hashlib import sha256

from nats.aio.client import Client

from fleetward.bus.deliveries import Delivery
from fleetward.bus.errors import PublishError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.rows import Principal
from telemetry_ingest.settings import Settings

_logger = logging.getLogger(__name__)

MAX_KEPT_BYTES = 512 * 1024
"""A payload past this, twice what a frame may have, is kept in part."""

(CONSUMER,) = consumers_of(Principal.INGEST)


class DeadLetters:
    """Publishes refused messages and counts them."""

    def __init__(self, settings: Settings, connection: Client) -> None:
        self._settings = settings
        self._connection = connection
        self._refused = 0

    async def keep(self, delivery: Delivery, error: str) -> bool:
        """Keep a message and terminate its delivery; False when it will come again instead.

        The copy's id has the payload's digest in it: after a crash an asynchronous stream may give
        the same sequence to another message.
        """
        letter = DeadLettered(
            stream=CONSUMER.stream.value,
            consumer=CONSUMER.durable,
            stream_sequence=delivery.sequence,
            subject=delivery.subject,
            payload=delivery.payload[:MAX_KEPT_BYTES],
            error=error,
            deliveries=delivery.deliveries,
            dead_lettered_at=datetime.now(timezone.utc),
        )
        digest = sha256(delivery.payload).hexdigest()[:16]
        try:
            await publish(
                self._connection, letter, message_id=f"{letter.stream}:{delivery.sequence}:{digest}"
            )
        except PublishError as problem:
            log(_logger, "dead_letter.failed", level=logging.ERROR, error=str(problem))
            await delivery.nak(self._settings.refused_retry_s)
            return False
        self._refused += 1
        log(
            _logger,
            "frame.refused",
            level=logging.ERROR,
            subject=delivery.subject,
            error=error,
            refused_so_far=self._refused,
        )
        return True
