"""Lists what is stored of what robots record all the time, says what is missing in it, and fetches it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

from nats.aio.client import Client

from fleetward.bus.requests import ask
from fleetward.client.downloads import download
from fleetward.contracts.ids import RobotId, SegmentId
from fleetward.contracts.segments import (
    LinkSegment,
    ListSegments,
    Segment,
    SegmentKind,
    SegmentLinked,
    SegmentsListed,
    StoredSegment,
    lost_before,
)

WINDOWS = (timedelta(hours=2), timedelta(days=1), timedelta(days=7), timedelta(days=30))
"""So far back the newest are looked for, a step at a time: a list of all may have tens of thousands."""
LATELY = WINDOWS[:2]
CLOCK_MARGIN = timedelta(hours=1)
"""A robot's clock may have been so far behind when it sealed what is of now."""


async def stored(
    connection: Client, robot: RobotId, kind: SegmentKind, since: datetime | None = None
) -> list[StoredSegment]:
    """What the store has of a robot that was sealed from ``since`` on, the oldest first.

    In the order of arrival, which is that of recording: a robot that lost its disk counts from 0 again, and
    clocks are set. Where something seems to be missing all is listed, to be sure of it.
    """
    found = await _listed(connection, robot, kind, since and since - CLOCK_MARGIN)
    if since is not None and _has_gap(found):
        found = await _listed(connection, robot, kind, None)
    return found


async def newest(
    connection: Client, robot: RobotId, kind: SegmentKind, count: int
) -> list[StoredSegment]:
    """At least the newest ``count`` and the one before, as far as there are so many."""
    now = datetime.now(timezone.utc)
    for window in WINDOWS:
        found = await _listed(connection, robot, kind, now - window)
        if len(found) > count:
            if _has_gap(found[-count - 1 :]):
                break
            return found
    return await _listed(connection, robot, kind, None)


def losses(found: Sequence[StoredSegment]) -> list[int]:
    """How many messages are missing in each and before it."""
    segments = [each.segment for each in found]
    return list(map(lost_before, segments, [None, *segments[:-1]]))


def _has_gap(found: Sequence[StoredSegment]) -> bool:
    """Between two: a robot whose clock was wrong may have sealed, by its clock, what belongs there long ago."""
    return any(
        later.segment.first_number > earlier.segment.end_number
        for earlier, later in pairwise(found)
    )


async def link(
    connection: Client, robot: RobotId, segment: SegmentId, key: str = ""
) -> SegmentLinked:
    """All that is known of a stored segment, and where it is; raises RefusedError."""
    linked: SegmentLinked = await ask(
        connection, LinkSegment(robot_id=robot, segment_id=segment, key=key)
    )
    return linked


async def fetch(
    connection: Client, robot: RobotId, segment: SegmentId, path: Path, key: str = ""
) -> Segment:
    """Write a stored segment to ``path``, whole or not at all; raises RefusedError, DownloadError.

    ``key``: as a list told it, else it is looked for, first among those of today.
    """
    linked = await link(connection, robot, segment, key or await _found(connection, robot, segment))
    await download(linked.url, linked.segment.digest, path)
    return linked.segment


async def _found(connection: Client, robot: RobotId, segment: SegmentId) -> str:
    """The key of one that was sealed lately; of any other the registry looks for it among all, for seconds."""
    now = datetime.now(timezone.utc)
    for window in LATELY:
        for kind in SegmentKind:
            for each in await _listed(connection, robot, kind, now - window):
                if each.segment.segment_id == segment:
                    return each.key
    return ""


async def _listed(
    connection: Client, robot: RobotId, kind: SegmentKind, since: datetime | None
) -> list[StoredSegment]:
    found, after_key, more = dict[SegmentId, StoredSegment](), "", True
    while more:
        page: SegmentsListed = await ask(
            connection,
            ListSegments(robot_id=robot, kind=kind, since=since, after_key=after_key),
        )
        for each in page.segments:
            found.setdefault(each.segment.segment_id, each)  # one of before may lie there twice
        after_key, more = page.next_key, bool(page.next_key)
    return sorted(found.values(), key=lambda each: (each.stored_at, each.segment.first_number))
