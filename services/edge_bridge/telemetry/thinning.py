"""Which waiting frames a full spool gives up: every second one of the oldest half, some at a time. Pure.

Who was thinned the most often is the oldest, so that a long outage is seen whole and its end in full.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from msgspec import Struct

LOOKED_AT_ONCE = 512
"""Frames, of which half are given up by one write to the disk: nobody else who needs it waits for more."""


class Thinning(Struct, frozen=True):
    """How far the oldest ``half_bytes`` are thinned: up to ``place``, in front of which ``seen_bytes`` were."""

    half_bytes: int
    seen_bytes: int = 0
    place: int = 0


class Thinned(Struct, frozen=True):
    """doomed: places to give up. then: where the next step goes on; None: with the oldest again."""

    doomed: tuple[int, ...]
    then: Thinning | None


def thinned(thinning: Thinning, oldest: Sequence[tuple[int, int]]) -> Thinned:
    """The next step. oldest: place and size of the first frames past ``thinning.place``, none: there are no more.

    A step that begins with the oldest gives up one frame at least.
    """
    if not oldest:
        return Thinned((), None)
    seen = list(accumulate((size for _, size in oldest), initial=thinning.seen_bytes))[1:]
    looked_at = sum(bytes_ < thinning.half_bytes for bytes_ in seen) + 1
    places = tuple(place for place, _ in oldest[:looked_at])
    doomed = places[1::2] or (() if thinning.place else places[:1])
    if looked_at <= len(oldest):
        return Thinned(doomed, None)
    return Thinned(doomed, Thinning(thinning.half_bytes, seen[-1], places[-1]))
