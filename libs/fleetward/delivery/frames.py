"""zstd frames (RFC 8878) whose content is of a known size, into memory that is there already."""

from __future__ import annotations

from typing import TypeAlias

import zstandard

from fleetward.delivery.errors import DeltaError

FAST = 1
SPARSE = 7
"""For what is nearly all zeros: a tenth smaller than FAST, and decompressed a fifth faster."""
MAX_WINDOW_BYTES = 8 * 1024 * 1024

Content: TypeAlias = bytes | bytearray | memoryview


def compressed(content: Content, level: int = FAST) -> bytes:
    """One zstd frame."""
    return zstandard.ZstdCompressor(level=level).compress(content)


def decompressor() -> zstandard.ZstdDecompressor:
    """One to use again and again, by one thread at a time."""
    return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)


def decompress_into(
    payload: Content, target: memoryview, using: zstandard.ZstdDecompressor
) -> None:
    """Fill ``target`` from zstd frames, one after the other; raises DeltaError.

    Frames that hold less or more, or anything behind them, are refused. However much they claim,
    that takes no memory but a window of at most MAX_WINDOW_BYTES, and no byte past ``target`` but
    one is decompressed.
    """
    filled = 0
    try:
        reader = using.stream_reader(payload, read_across_frames=True)
        while filled < len(target) and (count := reader.readinto(target[filled:])):
            filled += count
        is_more = bool(reader.read(1))
    except zstandard.ZstdError as error:
        raise DeltaError(f"a payload is no sound zstd frame: {error}.") from error
    if filled != len(target) or is_more:
        raise DeltaError(f"a payload does not hold the {len(target)} bytes that belong there.")
