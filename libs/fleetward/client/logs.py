"""Reads robots' logs: those that are stored, and severe records as they come."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.errors import BusError, RefusedError
from fleetward.bus.waiting import cancelled
from fleetward.client import segments
from fleetward.client.downloads import download
from fleetward.client.errors import DownloadError
from fleetward.client.live import LiveFacts, live_facts
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId
from fleetward.contracts.logs import SevereLogged
from fleetward.contracts.segments import (
    Segment,
    SegmentArrived,
    SegmentKind,
    StoredSegment,
    lost_before,
)
from fleetward.logs.choosing import Found, Wanted, found_in
from fleetward.logs.segment import SegmentError, record_of

REMEMBERED = 10_000
"""Severe records that were shown live, so that their segment does not show them again."""
LOOK_EVERY_S = 2.0
"""How soon one who follows sees that the connection was lost and is back."""
_NS_PER_S = 1_000_000_000
_ROUNDING_NS = 1_000_000
"""A segment's times are told in microseconds."""


class Shown(Struct, frozen=True, kw_only=True):
    """A record to be shown. ``at``: by the hub's clock, as well as the robot could tell."""

    at: datetime
    found: Found


class Gap(Struct, frozen=True, kw_only=True):
    """Records that cannot be shown here, and why."""

    records: int
    reason: str


class LogReader:
    """One robot's logs, for one who wants to see some of them."""

    def __init__(self, connection: Client, robot: RobotId, wanted: Wanted) -> None:
        self._connection = connection
        self._robot = robot
        self._wanted = wanted
        self._previous: Segment | None = None
        self._read: set[str] = set()
        self._live: dict[tuple[int, int], None] = {}
        """Number and time of what was shown live, the oldest first."""

    async def stored(self) -> AsyncIterator[Shown | Gap]:
        """What is stored by now, in the order in which the robot collected it."""
        since_ns = self._wanted.since_ns
        since = _utc(since_ns) if since_ns > 0 else None
        for stored in await segments.stored(self._connection, self._robot, SegmentKind.LOGS, since):
            async for each in self._of_segment(stored):
                yield each

    async def follow(self) -> AsyncIterator[Shown | Gap]:
        """What is stored, and then for ever what comes: severe records at once, others with their segment."""
        connection, robot = self._connection, self._robot
        async with AsyncExitStack() as open_facts:
            severe = await open_facts.enter_async_context(
                live_facts(connection, SevereLogged, robot_id=robot)
            )
            sealed = await open_facts.enter_async_context(
                live_facts(connection, SegmentArrived, robot_id=robot)
            )
            async for each in self.stored():
                yield each
            reconnects = _reconnects(connection)
            async for fact in _merged(severe, sealed):
                try:
                    if reconnects != _reconnects(connection):  # what came meanwhile was not heard
                        async for each in self.stored():
                            yield each
                        reconnects = _reconnects(connection)
                    async for each in self._of_fact(fact):
                        yield each
                except BusError:
                    reconnects = -1  # what could not be read is looked for again

    async def _of_fact(self, fact: Event | None) -> AsyncIterator[Shown | Gap]:
        if isinstance(fact, SevereLogged):
            for shown in self._of_live(fact):
                yield shown
        elif isinstance(fact, SegmentArrived):
            arrived = StoredSegment(segment=fact.segment, key=fact.key, stored_at=fact.stored_at)
            async for each in self._of_segment(arrived):
                yield each

    async def _of_segment(self, stored: StoredSegment) -> AsyncIterator[Shown | Gap]:
        segment = stored.segment
        if segment.kind is not SegmentKind.LOGS or segment.segment_id in self._read:
            return
        if not _overlaps(segment, self._wanted):
            self._done(segment)
            return
        with tempfile.TemporaryDirectory(prefix="fleetward-logs-") as directory:
            path = Path(directory) / segment.segment_id
            try:
                known = await self._fetched(stored, path)
            except (DownloadError, RefusedError) as problem:
                self._done(segment)
                yield Gap(records=segment.messages, reason=str(problem))
                return
            lost = self._done(segment)
            if known is None:
                return
            if lost > 0:
                yield Gap(records=lost, reason="the robot dropped them")
            for each in self._wanted_in(path, _offset_ns(known.clock_offset_s)):
                yield each

    async def _fetched(self, stored: StoredSegment, path: Path) -> Segment | None:
        """All that is told of it; None: it has nothing of the units that are wanted, and is not fetched."""
        robot, segment_id = self._robot, stored.segment.segment_id
        linked = await segments.link(self._connection, robot, segment_id, stored.key)
        if not _has_units(linked.segment, self._wanted):
            return None
        await download(linked.url, linked.segment.digest, path)
        return linked.segment

    def _wanted_in(self, path: Path, offset_ns: int) -> Iterator[Shown]:
        with path.open("rb") as file:
            for found in found_in(file, self._wanted.by(offset_ns)):
                if (found.number, found.record.timestamp) not in self._live:
                    yield Shown(at=_utc(found.record.timestamp + offset_ns), found=found)

    def _done(self, segment: Segment) -> int:
        """It is not looked at again; how many records are missing before it and in it."""
        self._read.add(segment.segment_id)
        previous, self._previous = self._previous, segment
        return lost_before(segment, previous)

    def _of_live(self, fact: SevereLogged) -> list[Shown | Gap]:
        shown: list[Shown | Gap] = []
        offset_ns = _offset_ns(fact.clock_offset_s)
        wanted = self._wanted.by(offset_ns)
        for said in fact.records:
            line = said.line.encode()
            try:
                found = Found(number=said.number, record=record_of(line), line=line)
            except SegmentError:
                continue
            if wanted.has(found.record):
                self._remember(found)
                shown.append(Shown(at=_utc(found.record.timestamp + offset_ns), found=found))
        if fact.unsaid:
            reason = "too many at once to be said live; they come with their segment"
            shown.append(Gap(records=fact.unsaid, reason=reason))
        return shown

    def _remember(self, found: Found) -> None:
        self._live[found.number, found.record.timestamp] = None
        while len(self._live) > REMEMBERED:
            del self._live[next(iter(self._live))]


async def _merged(*sources: LiveFacts[Any]) -> AsyncIterator[Event | None]:
    """Whatever comes first; None now and then, when nothing does."""
    waiting = {asyncio.ensure_future(source.next()): source for source in sources}
    try:
        while True:
            done, _ = await asyncio.wait(
                waiting, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED
            )
            for each in done:
                source = waiting.pop(each)
                waiting[asyncio.ensure_future(source.next())] = source
                yield each.result()
            if not done:
                yield None
    finally:
        await cancelled(set(waiting))


def _reconnects(connection: Client) -> int:
    return int(connection.stats["reconnects"])


def _overlaps(segment: Segment, wanted: Wanted) -> bool:
    return (
        _ns(segment.started_at) - _ROUNDING_NS <= wanted.until_ns
        and _ns(segment.ended_at) + _ROUNDING_NS >= wanted.since_ns
    )


def _has_units(segment: Segment, wanted: Wanted) -> bool:
    """As far as is told: a segment may have more units than that."""
    units = segment.topics
    told_all = sum(units.values()) == segment.messages
    return not (wanted.units and told_all and wanted.units.isdisjoint(units))


def _offset_ns(clock_offset_s: float | None) -> int:
    return round((clock_offset_s or 0.0) * _NS_PER_S)


def _ns(at: datetime) -> int:
    return round(at.timestamp() * _NS_PER_S)


def _utc(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / _NS_PER_S, timezone.utc)
