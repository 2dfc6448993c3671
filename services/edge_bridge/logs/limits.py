"""What of a robot's logs is collected, and every bound of that with its unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from edge_bridge.shipping.limits import ShippingLimits

MIB = 1024 * 1024
KIB = 1024
EVERY_UNIT = "all"


class LogSettings(Struct, frozen=True, kw_only=True):
    """Off, nothing is started. On, the bridge's own logs and its workers' are collected in any case."""

    enabled: bool = False
    files: tuple[str, ...] = ()
    """Patterns of files to follow, as ``/var/log/ros/**/*.log``."""
    socket: Path | None = None
    """A Unix socket that any program of the robot writes lines to."""
    journal: tuple[str, ...] = ()
    """Units of systemd's journal; ``all``: every one."""
    shipping: ShippingLimits = ShippingLimits(outbox_bytes=256 * MIB)
    segment_s: float = 60.0
    """A segment is sealed after so long, and may then leave the robot."""
    segment_bytes: int = 8 * MIB
    """Of a compressed segment."""
    sealed_bytes: int = 64 * MIB
    """Sealed segments that the outbox has not taken; past it the oldest are dropped."""
    reserve_bytes: int = 64 * MIB
    """Stays free on the disk for others."""
    block_s: float = 1.0
    """Records are written out after so long; what a ``kill -9`` takes of lines that are in no file."""
    block_bytes: int = 1 * MIB
    """Of JSON; records are written out before it is more."""
    read_bytes: int = 256 * KIB
    """At once from one file or program, so that none waits for another for long."""
    read_every_s: float = 0.2
    """How often files are looked at that had nothing new."""
    scan_s: float = 1.0
    """How often new and turned files are looked for."""
    rotated_s: float = 60.0
    """A file that was renamed is read until nothing came for so long."""
    backlog_bytes: int = 1 * MIB
    """Of a file that was there before logs were ever collected: what is read of its end."""
    followed_files: int = 256
    connections: int = 64
    """Programs at the socket at once."""
    line_bytes: int = 256 * KIB
    """What is longer is cut, and counted."""
    record_bytes: int = 256 * KIB
    record_lines: int = 512
    """Lines that belong together, as a traceback."""
    gather_s: float = 0.5
    """A line of text may go on for so long before it is a record."""
    live_records_per_s: float = 10.0
    """Severe records that are said at once; more are counted, and stand in the segment alone."""
    live_burst: int = 50
    live_record_bytes: int = 4 * KIB
    live_every_s: float = 0.5
    tap_bytes: int = 1 * MIB
    """Of the bridge's own lines, and its workers', that wait for the collector."""
    told_every_s: float = 10.0
    """What is dropped or refused is said so often at most."""
    retry_wait_s: float = 1.0
    retry_wait_limit_s: float = 30.0
    """A collector that ends is started again, ever later."""
    stop_s: float = 1.0


def as_argument(settings: LogSettings) -> str:
    """For the collector's command line."""
    return msgspec.json.encode(settings, enc_hook=str).decode()


def from_argument(argument: str) -> LogSettings:
    """What ``as_argument`` wrote; raises msgspec.MsgspecError."""
    return msgspec.json.decode(argument, type=LogSettings, dec_hook=_path)


def _path(kind: type[Any], said: object) -> Path:
    assert kind is Path
    return Path(str(said))
