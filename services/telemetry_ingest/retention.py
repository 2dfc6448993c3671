"""Decides which segments go and which are merged; pure, so that both rules can be read here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from telemetry_ingest.segments import Segment

_BITS_PER_TIER = 4


def expired(
    segments: Sequence[Segment], now_ns: int, keep_s: float, keep_bytes: int
) -> list[Segment]:
    """Segments stored more than ``keep_s`` ago, and the oldest ones beyond ``keep_bytes`` in all.

    ``segments`` come oldest first. Age is counted from when they were stored: a robot whose clock
    starts in 1970 keeps its history as long as any other.
    """
    oldest_ns = now_ns - int(keep_s * 1e9)
    excess_bytes = sum(segment.size_bytes for segment in segments) - keep_bytes
    gone: list[Segment] = []
    for segment in segments:
        if segment.stored_at_ns >= oldest_ns and excess_bytes <= 0:
            break
        gone.append(segment)
        excess_bytes -= segment.size_bytes
    return gone


def to_merge(segments: Sequence[Segment], at_segments: int, most_samples: int) -> list[Segment]:
    """The oldest ``at_segments`` of like size, so that a sample is rewritten a few times only.

    Sizes are alike within a factor of 16. Empty when there are not enough of them yet, or when
    together they would hold more than ``most_samples``.
    """
    tiers: dict[int, list[Segment]] = defaultdict(list)
    for segment in segments:
        tiers[segment.samples.bit_length() // _BITS_PER_TIER].append(segment)
    for tier in sorted(tiers):
        chosen = tiers[tier][:at_segments]
        enough = len(chosen) == at_segments
        if enough and sum(segment.samples for segment in chosen) <= most_samples:
            return chosen
    return []
