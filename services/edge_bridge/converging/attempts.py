"""Tries again and again: at once when something changed, and after a growing wait when it failed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from edge_bridge.errors import TransientError
from edge_bridge.journal import JournalError
from edge_bridge.settings import Settings
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log
from fleetward.bus.waiting import happens

_logger = logging.getLogger(__name__)


async def attempt(
    converge: Callable[[], Awaitable[None]],
    changed: asyncio.Event,
    settings: Settings,
    failures: int,
) -> int:
    """Converge once and wait for a reason to do it again; return how often it failed in a row."""
    changed.clear()
    wait_s: float | None = None
    try:
        await converge()
        failures = 0
    except (TransientError, JournalError) as problem:
        failures += 1
        wait_s = pause_s(failures, settings.retry_wait_s, settings.retry_wait_limit_s)
        log(
            _logger,
            "converge.delayed",
            level=logging.WARNING,
            reason=str(problem),
            wait_s=wait_s,
        )
    await happens(changed, wait_s)
    return failures
