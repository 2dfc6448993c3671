"""Which records somebody wants to see, found in a segment without unpacking what has none of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from msgspec import Struct

from fleetward.logs.record import LogRecord
from fleetward.logs.segment import Header, SegmentError, blocks_in, record_of

_ALWAYS = 2**63 - 1


class Wanted(Struct, frozen=True, kw_only=True):
    """Times in unix nanoseconds, both included; severities from ``severity`` up; no ``units``: every one."""

    since_ns: int = -_ALWAYS
    until_ns: int = _ALWAYS
    severity: int = 0
    units: frozenset[str] = frozenset()

    def by(self, clock_offset_ns: int) -> Wanted:
        """The same by a clock that this one is ``clock_offset_ns`` ahead of."""
        return Wanted(
            since_ns=max(-_ALWAYS, self.since_ns - clock_offset_ns),
            until_ns=min(_ALWAYS, self.until_ns - clock_offset_ns),
            severity=self.severity,
            units=self.units,
        )

    def has(self, record: LogRecord) -> bool:
        """Whether this is one."""
        return (
            record.severity_number >= self.severity
            and self.since_ns <= record.timestamp <= self.until_ns
            and (not self.units or record.resource.service_name in self.units)
        )

    def may_be_in(self, header: Header) -> bool:
        """Whether a block may have any."""
        return (
            header.severest >= self.severity
            and header.from_ns <= self.until_ns
            and header.until_ns >= self.since_ns
            and self._may_be_of(header)
        )

    def _may_be_of(self, header: Header) -> bool:
        """A header tells of some sources alone when there are many."""
        told_all = sum(header.units.values()) == header.records
        return not self.units or not told_all or not self.units.isdisjoint(header.units)


class Found(Struct, frozen=True, kw_only=True):
    """A record with its number in the robot's life, and as it is written."""

    number: int
    record: LogRecord
    line: bytes


def found_in(file: IO[bytes], wanted: Wanted) -> Iterator[Found]:
    """In a segment's order, up to where it was cut or damaged."""
    try:
        for block in blocks_in(file):
            if not wanted.may_be_in(block.header):
                continue
            for number, line in enumerate(block.lines(), block.header.first):
                record = record_of(line)
                if wanted.has(record):
                    yield Found(number=number, record=record, line=line)
    except SegmentError:
        return
