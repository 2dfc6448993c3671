"""A robot that records all the time into a directory, and what its segments tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edge_bridge.recorder.continuous import ContinuousRecorder
from edge_bridge.recorder.file import Recorded, messages_in
from edge_bridge.recorder.limits import ContinuousLimits
from edge_bridge.recorder.sealing import Sealer
from edge_bridge.recorder.segment_file import LARGE_BYTES, SegmentFile
from edge_bridge.shipping.numbers import MessageNumbers
from edge_bridge.shipping.outbox import Outbox
from fleetward.contracts.segments import Segment, SegmentKind, lost_before

LIMITS = ContinuousLimits(
    topics=("/camera/*", "/imu"),
    segment_bytes=10 * LARGE_BYTES,
    write_every_s=0.001,
    flush_every_s=0.0,
    retry_wait_s=0.0,
    stop_s=60.0,
)


class Robot:
    """A recorder in a directory, as often as it is started."""

    def __init__(
        self,
        directory: Path,
        limits: ContinuousLimits = LIMITS,
        reserve_bytes: int = 0,
        *,
        outbox: type[Outbox] = Outbox,
        segment: type[SegmentFile] = SegmentFile,
        stop_s: float = 60.0,
    ) -> None:
        self.directory = directory
        self.limits = limits
        self.reserve_bytes = reserve_bytes
        self.stop_s = stop_s
        self.outbox_type, self.segment_type = outbox, segment
        self.start()
        self.has_room: Callable[[], bool] = self.outbox.make_room

    def start(self) -> None:
        """As a new bridge does."""
        self.outbox = self.outbox_type(
            self.directory / "outbox",
            SegmentKind.RECORDING,
            10**9,
            reserve_bytes=self.reserve_bytes,
        )
        self.numbers = MessageNumbers(self.directory / "numbers")
        self.recorder = ContinuousRecorder(
            self.directory / "open",
            Sealer(self.outbox, lambda: 1.5, self.stop_s),
            self.numbers,
            self.limits,
            make_room=self._make_room,
            metadata={"robot_id": "arm"},
            sealed_until=self.outbox.last_number,
            open_segment=self.segment_type,
        )

    def _make_room(self) -> bool:
        return self.has_room()

    def drained(self) -> tuple[list[Segment], list[bytes]]:
        """What was sealed, in order, and what is in it."""
        segments, contents = [], []
        while (sealed := self.outbox.take()) is not None:
            segments.append(sealed.segment)
            found = [each.content for each in messages_in(self.outbox.path_of(sealed.segment))]
            assert len(found) == sealed.segment.messages
            contents += found
            self.outbox.stored(sealed)
        return segments, contents


def message(number: int, size_bytes: int = 20, topic: str = "/imu") -> Recorded:
    return Recorded(
        topic=topic, at_ns=10**18 + number, content=f"{number}".encode().ljust(size_bytes)
    )


def told(contents: list[bytes]) -> list[int]:
    return sorted(int(content) for content in contents)


def lost(segments: list[Segment]) -> int:
    """Of all that the robot counted, by what its segments tell."""
    before, missing = None, 0
    for segment in segments:
        missing += lost_before(segment, before)
        before = segment
    return missing
