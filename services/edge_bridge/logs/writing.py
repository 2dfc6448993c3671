"""Segments of log records on the robot's disk: a block is whole or not there, and knows where to go on.

How far the sources were read stands in the block of the records that were read, so no kill comes between
the two: nothing is forgotten that was read, and nothing is read twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

import msgspec
from msgspec import Raw, Struct

from edge_bridge.errors import BridgeError, DiskFullError
from edge_bridge.files import write_whole
from edge_bridge.logs.batch import Batch
from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.open_segment import OpenSegment
from edge_bridge.logs.sealing import NOWHERE, SealedSegment, cut_to_whole, sealed_of
from fleetward.logs.record import LogRecord
from fleetward.logs.segment import SUFFIX, BlockWriter, SegmentError

OPEN = ".open"
PLACE = "place.json"
_ENCODED_AT_ONCE = 1024


class Place(Struct, frozen=True, kw_only=True):
    """Where a segment begins: its number, its first record's, and how far the sources were read before."""

    series: str
    segment: int
    first: int
    positions: Raw = Raw(NOWHERE)

    @property
    def name(self) -> str:
        """Of the segment: no two of a robot's life have the same, and they sort as they were written."""
        return f"logs-{self.segment:010d}-{self.series}"


class SegmentWriter:
    """Writes the segments of ``directory``; one process at a time."""

    def __init__(
        self, directory: Path, limits: LogSettings, *, free_bytes: Callable[[], int] | None = None
    ) -> None:
        """Seal what a collector before this one left; raises OSError, BridgeError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._limits = limits
        self._free_bytes = free_bytes or (lambda: shutil.disk_usage(directory).free)
        self._blocks = BlockWriter()
        self._encoder = msgspec.json.Encoder()
        self._segment: OpenSegment | None = None
        self.lost = 0
        """Records that the disk did not take, or that were given up for newer ones."""
        self.sealed: list[SealedSegment] = []
        """The oldest first. Whoever takes one's file away need not say so."""
        self._place = self._recovered()
        self._positions = bytes(self._place.positions)
        self._ready: list[bytes] = []
        self._waiting = 0
        self._batch = Batch(self._place.first)

    @property
    def positions(self) -> bytes:
        """As they were told last, as JSON; ``null`` when there never were any."""
        return self._positions

    @property
    def waits(self) -> bool:
        """Whether there are records that are not written."""
        return self._waiting > 0

    @property
    def is_full(self) -> bool:
        """Whether so many wait that they should be written now."""
        return bool(self._ready) or len(self._batch.lines) >= self._limits.block_bytes

    def path_of(self, segment: SealedSegment) -> Path:
        """Where its file lies until it is taken."""
        return self._directory / f"{segment.name}{SUFFIX}"

    @property
    def next(self) -> int:
        """The number of the next record."""
        return self._batch.first + self._batch.records

    @property
    def began_s(self) -> float | None:
        """When the open segment began, by ``time.monotonic``."""
        return None if self._segment is None else self._segment.began_s

    def add(self, records: Sequence[LogRecord]) -> int:
        """Number ``records`` and let them wait; return the first one's number."""
        first = self.next
        for start in range(0, len(records), _ENCODED_AT_ONCE):
            if len(self._batch.lines) >= self._limits.block_bytes:
                self._end_block(NOWHERE)
            part = records[start : start + _ENCODED_AT_ONCE]
            self._batch.add(part, self._encoder.encode_lines(part))
            self._waiting += len(part)
        return first

    def write(self, positions: bytes) -> None:
        """Write what waits; a disk that refuses costs records, the oldest that are still here first."""
        if not self.waits:
            return
        self._end_block(positions)
        content, self._ready = b"".join(self._ready), []
        records, self._waiting = self._waiting, 0
        self._positions = positions
        if not self._append(content, records):
            self.lost += records
        elif self._segment is not None and self._segment.size_bytes >= self._limits.segment_bytes:
            self.seal()

    def seal(self) -> None:
        """End the open segment, which can then be taken."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        after = Place(
            series=self._place.series,
            segment=self._place.segment + 1,
            first=self.next - self._waiting,
            positions=Raw(self._positions),
        )
        path = self._directory / f"{self._place.name}{SUFFIX}"
        try:
            segment.close()
            self._remember(after)
            segment.path.replace(path)
            self.sealed.append(sealed_of(path, self._place.name, end=after.first))
            self._place = after
        except (OSError, BridgeError, SegmentError):
            self.lost += segment.records
            segment.give_up()
        self._bound_sealed()

    def _end_block(self, positions: bytes) -> None:
        self._ready.append(self._blocks.block(self._batch.lines, self._batch.header(positions)))
        self._batch = Batch(self.next)

    def _append(self, content: bytes, records: int) -> bool:
        while not self._fits(content, records):
            if not self._give_up_oldest():
                return False
        return True

    def _fits(self, content: bytes, records: int) -> bool:
        if self._free_bytes() < self._limits.reserve_bytes + len(content):
            return False
        try:
            if self._segment is None:
                self._segment = OpenSegment(self._directory / f"{self._place.name}{OPEN}")
            self._segment.append(content, records)
        except OSError:
            return False
        return True

    def _give_up_oldest(self) -> bool:
        """A segment that nobody took, else the open one; False when there is none."""
        self._bound_sealed()
        if self.sealed:
            self._drop(self.sealed.pop(0))
            return True
        segment, self._segment = self._segment, None
        if segment is None:
            return False
        self.lost += segment.records
        segment.give_up()
        return True

    def _bound_sealed(self) -> None:
        self.sealed = [each for each in self.sealed if self.path_of(each).exists()]
        while sum(each.size_bytes for each in self.sealed) > self._limits.sealed_bytes:
            self._drop(self.sealed.pop(0))

    def _drop(self, segment: SealedSegment) -> None:
        self.lost += segment.records
        with suppress(OSError):
            self.path_of(segment).unlink(missing_ok=True)

    def _remember(self, place: Place) -> None:
        """Raises BridgeError, unless giving up what is older made room for it."""
        content = msgspec.json.encode(place)
        try:
            write_whole(self._directory / PLACE, content)
        except DiskFullError:
            if not self.sealed:
                raise
            self._drop(self.sealed.pop(0))
            write_whole(self._directory / PLACE, content)

    def _recovered(self) -> Place:
        """What is sealed already, and what a kill left open, which is sealed now."""
        place = _place_in(self._directory) or Place(series=token_hex(4), segment=1, first=0)
        for path in sorted(self._directory.glob(f"*{OPEN}")):
            whole = cut_to_whole(path)
            if whole is None:
                path.unlink()
                continue
            number = _number_of(path)
            if number >= place.segment:
                place = Place(
                    series=place.series,
                    segment=number + 1,
                    first=max(place.first, whole.end),
                    positions=whole.positions,
                )
                write_whole(self._directory / PLACE, msgspec.json.encode(place))
            path.replace(path.with_name(f"{path.name.removesuffix(OPEN)}{SUFFIX}"))
        self._find_sealed()
        return place

    def _find_sealed(self) -> None:
        for path in sorted(self._directory.glob(f"*{SUFFIX}")):
            try:
                self.sealed.append(sealed_of(path, path.name.removesuffix(SUFFIX)))
            except SegmentError:
                path.unlink()


def _place_in(directory: Path) -> Place | None:
    """None when logs were never collected here, or the disk damaged what was written down."""
    try:
        return msgspec.json.decode((directory / PLACE).read_bytes(), type=Place)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _number_of(path: Path) -> int:
    parts = path.name.split("-")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdecimal() else 0
