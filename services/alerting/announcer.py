"""Publishes what the fleet decided, in order, and never forgets one that was not acknowledged."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable

import msgspec
from nats.aio.client import Client

from alerting.notify import Notifier
from alerting.outbox import OutboxError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish, publish_core
from fleetward.bus.tracing import headers_of_span
from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import MessageTooLargeError, encode
from fleetward.contracts.recordings import RecordingRequested, asked_by
from fleetward.rules.incidents import Announcement

_logger = logging.getLogger(__name__)


class Announcer:
    """The queue between a decision and the bus.

    The notification is on disk before the fact is published: dying in between, the same incident
    is found again and both keep their ids.
    """

    def __init__(self, connection: Client, notifier: Notifier) -> None:
        self._connection = connection
        self._notifier = notifier
        self._queued: deque[Announcement] = deque()
        self._unkept: deque[Announcement] = deque()
        self._publishing = asyncio.Lock()

    def add(self, announcements: Iterable[Announcement]) -> None:
        """Queue what was decided, in the moment it was decided."""
        self._queued.extend(announcements)

    async def flush(self) -> None:
        """Publish all that is queued; raises PublishError, and what is left stays queued."""
        async with self._publishing:
            while self._unkept and self._keep(self._unkept[0]):
                self._unkept.popleft()
            while self._queued:
                announcement = self._queued[0]
                if not self._keep(announcement):
                    self._unkept.append(announcement)
                await self._publish(announcement)
                self._queued.popleft()

    def _keep(self, announcement: Announcement) -> bool:
        """A full disk must not hold back the fact itself: the notification is tried again."""
        try:
            self._notifier.prepare(announcement)
        except OutboxError as error:
            log(_logger, "notification.not_kept", level=logging.ERROR, error=str(error))
            return False
        return True

    async def _publish(self, announcement: Announcement) -> None:
        event = announcement.event
        try:
            await publish(self._connection, event, message_id=announcement.id)
        except MessageTooLargeError:
            if not isinstance(event, AlertFired):
                raise
            bare = msgspec.structs.replace(event, labels={}, annotations={}, summary="")
            await publish(self._connection, bare, message_id=announcement.id)
        log(_logger, "alert.announced", id=announcement.id)
        if isinstance(event, AlertFired):
            await self._ask_for_recording(event)

    async def _ask_for_recording(self, fired: AlertFired) -> None:
        """Unacknowledged: a request that is lost costs a recording, and never holds up an alert."""
        asked = asked_by(fired)
        subject = row_of(RecordingRequested).subject_of(asked)
        await publish_core(self._connection, subject, encode(asked), headers_of_span())
