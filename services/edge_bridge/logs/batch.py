"""Records on their way into a block: their JSON, and what the block's header says of them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Raw

from fleetward.logs.record import LogRecord
from fleetward.logs.segment import Header

UNITS_TOLD = 32
"""A block and a segment tell of so many sources, those with the most records."""


class Batch:
    """Begins with the record of number ``first``."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.lines = bytearray()
        self.records = 0
        self._from_ns = self._until_ns = 0
        self._severest = 0
        self._units: dict[str, int] = {}

    def add(self, records: Sequence[LogRecord], lines: bytes) -> None:
        """``lines``: the same ``records`` as JSON, each ended by a newline."""
        times = [record.timestamp for record in records]
        self._from_ns = min(times) if not self.records else min(self._from_ns, *times)
        self._until_ns = max(self._until_ns, *times)
        self._severest = max(self._severest, *(record.severity_number for record in records))
        for record in records:
            unit = record.resource.service_name
            self._units[unit] = self._units.get(unit, 0) + 1
        self.lines += lines
        self.records += len(records)

    def header(self, positions: bytes) -> Header:
        """Of a block of it."""
        return Header(
            first=self.first,
            records=self.records,
            from_ns=self._from_ns,
            until_ns=self._until_ns,
            severest=self._severest,
            units=most(self._units),
            positions=Raw(positions),
        )


def most(units: dict[str, int]) -> dict[str, int]:
    """Those with the most records."""
    told = sorted(units, key=lambda unit: -units[unit])[:UNITS_TOLD]
    return {unit: units[unit] for unit in told}
