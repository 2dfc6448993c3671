"""Robots that were given no pictures see a test card: grey bars that move from frame to frame."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

FRAMES = 8
SIDE_PX = 320
_BAR_PX = SIDE_PX // FRAMES
_PNG = b"\x89PNG\r\n\x1a\n"
_GREY_8_BIT = 0


def write_grey_bars(directory: Path) -> None:
    """Fill ``directory`` with FRAMES pictures, unless somebody put other ones there."""
    directory.mkdir(exist_ok=True)
    if any(directory.iterdir()):
        return
    for frame in range(FRAMES):
        (directory / f"bars-{frame}.png").write_bytes(_bars(frame))


def _bars(shift: int) -> bytes:
    """One picture as PNG (ISO/IEC 15948): 8-bit grey, every line alike."""
    levels = [255 * ((bar + shift) % FRAMES) // (FRAMES - 1) for bar in range(FRAMES)]
    line = b"\0" + b"".join(bytes([level]) * _BAR_PX for level in levels)
    header = struct.pack(">IIBBBBB", SIDE_PX, SIDE_PX, 8, _GREY_8_BIT, 0, 0, 0)
    pixels = zlib.compress(line * SIDE_PX)
    return _PNG + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
