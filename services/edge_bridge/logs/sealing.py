"""Segments that are written no more, whether they ended well or by a kill: cut to what is whole, summed up."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from msgspec import Raw, Struct

from edge_bridge.logs.batch import most
from fleetward.logs.segment import Header, SegmentError, blocks_in

NOWHERE = b"null"
"""The positions of a block that belongs together with the next one."""


class SealedSegment(Struct, frozen=True, kw_only=True):
    """A file that is whole. It covers the records' numbers from ``first`` up to but without ``end``, of which
    ``records`` are in it; ``units``: how many are of which source."""

    name: str
    size_bytes: int
    records: int
    first: int
    end: int
    from_ns: int
    until_ns: int
    units: dict[str, int] = {}
    cut_off: bool = False


class Whole(Struct, frozen=True, kw_only=True):
    """What can be kept of a segment that was never sealed, and how far its sources were read by then."""

    size_bytes: int
    end: int
    positions: Raw


def cut_to_whole(path: Path) -> Whole | None:
    """Cut a file behind its last whole block that says where to go on; None when there is none.

    A power cut may leave anything behind what was synced, so every block is looked into. Raises OSError.
    """
    whole: Whole | None = None
    with path.open("r+b") as file:
        with suppress(SegmentError):  # good up to there
            for block in blocks_in(file):
                if not block.whole or len(block.lines()) != block.header.records:
                    break
                if bytes(block.header.positions) != NOWHERE:
                    whole = Whole(
                        size_bytes=block.ends_at,
                        end=block.header.first + block.header.records,
                        positions=block.header.positions,
                    )
        file.truncate(whole.size_bytes if whole is not None else 0)
        os.fdatasync(file.fileno())
    return whole


def sealed_of(path: Path, name: str, *, end: int = 0, cut_off: bool = False) -> SealedSegment:
    """Sum up a whole file; ``end``: where the next one begins, if that is known. Raises OSError, SegmentError."""
    with path.open("rb") as file:
        headers = [block.header for block in blocks_in(file)]
        size_bytes = file.tell()
    if not headers:
        raise SegmentError(f"{path.name} is empty.")
    return SealedSegment(
        name=name,
        size_bytes=size_bytes,
        records=sum(header.records for header in headers),
        first=headers[0].first,
        end=max(end, headers[-1].first + headers[-1].records),
        from_ns=min(header.from_ns for header in headers),
        until_ns=max(header.until_ns for header in headers),
        units=_units(headers),
        cut_off=cut_off,
    )


def _units(headers: list[Header]) -> dict[str, int]:
    units: dict[str, int] = {}
    for header in headers:
        for unit, records in header.units.items():
            units[unit] = units.get(unit, 0) + records
    return most(units)
