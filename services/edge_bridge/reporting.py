"""What a robot says about itself: on disk first, then to the hub, in order, once acknowledged gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from opentelemetry import context as opentelemetry_context

from edge_bridge.converging.converge import Memory
from edge_bridge.disk_thread import DiskThread
from edge_bridge.journal import Journal, JournalError, Unsent
from edge_bridge.link import Link
from edge_bridge.uplink import UplinkLimits
from fleetward.bus.backoff import pause_s
from fleetward.bus.errors import BusError
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.bus.tracing import context_of, current_traceparent
from fleetward.bus.waiting import happens
from fleetward.contracts.codec import MessageTooLargeError
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, ModelName
from fleetward.contracts.robots import RobotCheckedIn

_logger = logging.getLogger(__name__)
_LOOK_AGAIN_S = 5.0


class Reporter:
    """Writes facts down and gets them to the hub. ``report`` returns once a fact is durable."""

    def __init__(
        self,
        journal: Journal,
        link: Link,
        limits: UplinkLimits,
        disk: DiskThread,
        on_fact: Callable[[Event], None] = lambda _: None,
    ) -> None:
        """``on_fact`` sees every fact when it is written down, and must not block."""
        self._on_fact = on_fact
        self._disk = disk
        self._journal = journal
        self._link = link
        self._limits = limits
        self._fresh = asyncio.Event()
        self.heard: BootId | None = None
        """Of the newest check-in that the hub acknowledged."""

    async def report(
        self,
        memories: Mapping[ModelName | None, Memory],
        facts: Sequence[Event] = (),
    ) -> None:
        """Remember, by pipeline, and report, in one transaction; raises JournalError."""
        await self._disk.run(self._journal.write, memories, facts, current_traceparent())
        self._fresh.set()
        for fact in facts:
            self._on_fact(fact)

    async def run(self) -> None:
        """Publish for ever, the oldest fact first; nothing overtakes a fact that did not get through."""
        failures = 0
        while True:
            self._fresh.clear()
            try:
                unsent = await self._disk.run(self._journal.unsent)
                for one in unsent:
                    await self._send(one)
                failures = 0
            except (BusError, JournalError) as problem:
                failures += 1
                log(_logger, "report.unsent", level=logging.WARNING, reason=str(problem))
                await asyncio.sleep(
                    pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
                )
                continue
            if not unsent:
                await happens(self._fresh, _LOOK_AGAIN_S)

    async def _send(self, unsent: Unsent) -> None:
        connection = await self._link.connected()
        token = opentelemetry_context.attach(context_of(unsent.traceparent))
        try:
            await self._link.while_connected(
                publish(
                    connection,
                    unsent.event,
                    message_id=unsent.message_id,
                    timeout_s=self._limits.publish_timeout_s,
                )
            )
        except MessageTooLargeError as problem:  # never sendable: it must not hold up the rest
            log(_logger, "report.dropped", level=logging.ERROR, reason=str(problem))
        finally:
            opentelemetry_context.detach(token)
        await self._disk.run(self._journal.sent, unsent)
        if isinstance(unsent.event, RobotCheckedIn):
            self.heard = unsent.event.boot_id


class CheckIns:
    """A check-in every ``period_s`` and after every change."""

    def __init__(
        self, reporter: Reporter, check_in: Callable[[int], RobotCheckedIn], period_s: float
    ) -> None:
        self._reporter = reporter
        self._check_in = check_in
        self._period_s = period_s
        self._changed = asyncio.Event()
        self._sequence = 0

    def changed(self) -> None:
        """Something a check-in would say is different now."""
        self._changed.set()

    async def run(self) -> None:
        """Check in for ever; a disk that cannot keep a check-in costs only that one."""
        while True:
            self._changed.clear()
            self._sequence += 1
            try:
                await self._reporter.report({}, [self._check_in(self._sequence)])
            except JournalError as problem:
                log(_logger, "check_in.unwritten", level=logging.ERROR, reason=str(problem))
            await happens(self._changed, self._period_s)
