"""Delivers each notification to each receiver at least once, in order, across restarts.

A copy has the same ``Idempotency-Key`` (robot:alert:incident:kind), so receivers can drop it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from alerting.outbox import Notification, Outbox
from alerting.settings import NotifyLimits
from alerting.webhook import webhook_body
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log
from fleetward.rules.incidents import Announcement

_logger = logging.getLogger(__name__)

IDEMPOTENCY_KEY = "Idempotency-Key"
_WORTH_A_RETRY = {408, 425, 429}


class Notifier:
    """One worker per receiver. ``prepare`` is durable; delivery follows in ``run``."""

    def __init__(
        self, urls: Sequence[str], outbox: Outbox, client: httpx.AsyncClient, limits: NotifyLimits
    ) -> None:
        self._outbox = outbox
        self._client = client
        self._limits = limits
        self._added = {url: asyncio.Event() for url in urls}

    def prepare(self, announcement: Announcement) -> None:
        """Keep the announcement for every receiver; raises OutboxError."""
        body = webhook_body(announcement)
        if body is not None:
            for url, added in self._added.items():
                dropped = self._outbox.add(announcement.id, url, body)
                if dropped:
                    log(
                        _logger,
                        "notification.given_up",
                        level=logging.ERROR,
                        receiver=_host(url),
                        notifications=dropped,
                        reason="too many were waiting",
                    )
                added.set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for url in self._added:
                workers.create_task(self._deliver(url))

    async def _deliver(self, url: str) -> None:
        while True:
            self._added[url].clear()
            notification = self._outbox.next_for(url)
            if notification is None:
                await self._added[url].wait()
            elif not await self._attempt(url, notification):
                failures = notification.attempts + 1
                await asyncio.sleep(
                    pause_s(failures, self._limits.backoff_s, self._limits.max_backoff_s)
                )

    async def _attempt(self, url: str, notification: Notification) -> bool:
        """Whether this notification is finished with, one way or the other."""
        try:
            answer = await self._client.post(
                url,
                content=notification.body,
                headers={"Content-Type": "application/json", IDEMPOTENCY_KEY: notification.id},
                timeout=self._limits.timeout_s,
            )
        except httpx.HTTPError as problem:
            return self._failed(url, notification, type(problem).__name__, worth_a_retry=True)
        if answer.is_success:
            self._outbox.delivered(notification)
            log(_logger, "notification.delivered", receiver=_host(url), id=notification.id)
            return True
        status = answer.status_code
        worth_a_retry = status >= 500 or status in _WORTH_A_RETRY
        return self._failed(url, notification, f"status {status}", worth_a_retry=worth_a_retry)

    def _failed(
        self, url: str, notification: Notification, reason: str, *, worth_a_retry: bool
    ) -> bool:
        attempt = notification.attempts + 1
        fields = {"receiver": _host(url), "id": notification.id, "reason": reason}
        if worth_a_retry and attempt < self._limits.max_attempts:
            self._outbox.tried(notification)
            log(_logger, "notification.postponed", level=logging.WARNING, attempt=attempt, **fields)
            return False
        self._outbox.given_up(notification, reason)
        log(_logger, "notification.given_up", level=logging.ERROR, attempt=attempt, **fields)
        return True


def _host(url: str) -> str:
    """The receiver's name for logs: paths and queries of webhooks often hold a secret."""
    return urlsplit(url).hostname or "?"
