"""Records, and what stands in the segments of a directory."""

from __future__ import annotations

from pathlib import Path

from edge_bridge.logs.writing import OPEN
from fleetward.logs.choosing import Found, Wanted, found_in
from fleetward.logs.record import LogRecord, Resource
from fleetward.logs.segment import SUFFIX

AT_NS = 1_795_953_600_000_000_000


def record(number: int, severity: int = 9, unit: str = "nav", body: str = "") -> LogRecord:
    """One a second."""
    return LogRecord(
        timestamp=AT_NS + number * 10**9,
        severity_number=severity,
        body=body or f"line {number}",
        resource=Resource(service_name=unit),
    )


def found(path: Path, wanted: Wanted | None = None) -> list[Found]:
    """What one segment shows."""
    with path.open("rb") as file:
        return list(found_in(file, wanted or Wanted()))


def all_numbers(directory: Path) -> list[int]:
    """Of every record of every segment, sealed or not, in the order of their names."""
    paths = [*directory.glob(f"*{SUFFIX}"), *directory.glob(f"*{OPEN}")]
    return [each.number for path in sorted(paths) for each in found(path)]
