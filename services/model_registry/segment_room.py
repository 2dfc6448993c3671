"""Decides when a robot's segments are counted: that lists them all, so not at each that comes."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

BYTES_SHARE = 1 / 64
COUNT_SHARE = 1 / 16
"""Of what a place may hold: so much comes between two countings, and so much more it holds at most.

To list 16,384 takes a registry 0.9 s of processor time, so a segment costs 1 ms for its share of a listing.
"""


class SegmentLimits(Struct, frozen=True, kw_only=True):
    """What each kind of one robot may take of the store; the oldest go first."""

    size_bytes: int
    count: int


class Countings:
    """Of the places that this process put segments into."""

    def __init__(self, limits: SegmentLimits, first_share: Callable[[], float]) -> None:
        """``first_share``: how much of the way to its first counting a place begins with, from 0 to 1; by
        chance, so that a registry that was started does not count a whole fleet's at once."""
        self._limits = limits
        self._first_share = first_share
        self._shares: dict[str, float] = {}

    def is_due(self, place: str, size_bytes: int) -> bool:
        """Whether a segment of that size makes it time to count."""
        limits = self._limits
        share = max(
            size_bytes / (limits.size_bytes * BYTES_SHARE), 1 / (limits.count * COUNT_SHARE)
        )
        if place not in self._shares:
            self._shares[place] = self._first_share()
        share += self._shares[place]
        self._shares[place] = 0.0 if share >= 1 else share
        return share >= 1
