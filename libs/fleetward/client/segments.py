"""Lists what is stored of what robots record all the time, says what is missing in it, and fetches it."""

from __future__ import annotations

from pathlib import Path

from nats.aio.client import Client

from fleetward.bus.last_values import last_values
from fleetward.bus.requests import ask
from fleetward.client.downloads import download
from fleetward.contracts.ids import RobotId, SegmentId
from fleetward.contracts.segments import (
    LinkSegment,
    Segment,
    SegmentKind,
    SegmentLinked,
    SegmentStored,
)


async def stored(connection: Client, robot: RobotId, kind: SegmentKind) -> list[SegmentStored]:
    """What was ever stored of a robot, the oldest first; of more than the store keeps, the old ones' bytes are gone.

    In the order of arrival, which is that of recording: a robot that lost its disk counts from 0 again, and
    clocks are set.
    """
    values = await last_values(connection, SegmentStored, robot_id=robot)
    found = [value for value in values if value.event.segment.kind is kind]
    return [value.event for value in sorted(found, key=lambda value: value.sequence)]


async def fetch(connection: Client, robot: RobotId, segment: SegmentId, path: Path) -> Segment:
    """Write a stored segment to ``path``, whole or not at all; raises RefusedError, DownloadError."""
    linked: SegmentLinked = await ask(connection, LinkSegment(robot_id=robot, segment_id=segment))
    await download(linked.url, linked.segment.digest, path)
    return linked.segment
