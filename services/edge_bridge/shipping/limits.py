"""Every bound of what ships segments, with its unit."""

from __future__ import annotations

from msgspec import Struct

MIB = 1024 * 1024
GIB = 1024 * MIB


class ShippingLimits(Struct, frozen=True, kw_only=True):
    """What one kind of segments may take of disk and link."""

    outbox_bytes: int = 2 * GIB
    """Of sealed files that are not stored yet; past it the oldest are given up and counted."""
    bytes_per_s: float | None = None
    """None: whatever the link carries."""
    part_stall_s: float = 30.0
    """A part of which nothing leaves for so long, once it is its turn, is given up and sent again."""
    retry_wait_s: float = 1.0
    retry_wait_limit_s: float = 60.0
    keep_patience_s: float = 5.0
    """How long the registry may take at first to say that a segment is kept: where it can tell by the parts'
    names that takes milliseconds, and a replica that died with the question says nothing. Then it doubles."""
    upload_attempts: int = 3
    """Uploads whose bytes did not arrive as they are here, before the file is given up."""
