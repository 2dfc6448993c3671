"""Puts the frames of one robot back in order and takes each once.

Frames count from 1 per boot. In order, they pass at once. Across a gap they wait until the
gap is filled, or until ``lateness_ns`` of newer frames has come: any arrival order within that
lateness gives the same sequence. What comes later than that is ignored, like a second copy.
"""

from __future__ import annotations

from collections import deque

from fleetward.contracts.ids import BootId
from fleetward.rules.samples import FrameSamples

MAX_HELD_FRAMES = 256
REMEMBERED_BOOTS = 8


class Arrivals:
    """The order of one robot's frames. ``now_s`` is any monotonic clock."""

    def __init__(self, lateness_ns: int) -> None:
        self._lateness_ns = lateness_ns
        self._boot: BootId | None = None
        self._past_boots: deque[BootId] = deque(maxlen=REMEMBERED_BOOTS)
        self._expected = 1
        self._held: dict[int, FrameSamples] = {}
        self._held_since_s = 0.0
        self.ignored = 0

    def take(self, arrived: FrameSamples, now_s: float) -> list[FrameSamples]:
        """The frames that may be judged now that this one came, in order."""
        ready = self._begin_boot(arrived.frame.boot_id)
        sequence = arrived.frame.sequence
        if (
            arrived.frame.boot_id != self._boot
            or sequence < self._expected
            or sequence in self._held
        ):
            self.ignored += 1
            return ready
        if not self._held:
            self._held_since_s = now_s
        self._held[sequence] = arrived
        ready += self._in_order()
        while self._waited_enough():
            ready += self._skip_gap()
        if ready:
            self._held_since_s = now_s
        return ready

    def release(self, now_s: float) -> list[FrameSamples]:
        """Frames held behind a gap for so long that nobody fills it any more."""
        ready: list[FrameSamples] = []
        while self._held and (now_s - self._held_since_s) * 1e9 >= self._lateness_ns:
            ready += self._skip_gap()
        return ready

    def _begin_boot(self, boot: BootId) -> list[FrameSamples]:
        """The rest of the boot before, when ``boot`` is a new one."""
        if boot == self._boot or boot in self._past_boots:
            return []
        if self._boot is not None:
            self._past_boots.append(self._boot)
        rest = [self._held[sequence] for sequence in sorted(self._held)]
        self._boot, self._expected, self._held = boot, 1, {}
        return rest

    def _in_order(self) -> list[FrameSamples]:
        ready = []
        while self._expected in self._held:
            ready.append(self._held.pop(self._expected))
            self._expected += 1
        return ready

    def _skip_gap(self) -> list[FrameSamples]:
        self._expected = min(self._held)
        return self._in_order()

    def _waited_enough(self) -> bool:
        if not self._held:
            return False
        oldest, newest = self._held[min(self._held)], self._held[max(self._held)]
        span_ns = newest.frame.started_at_ns - oldest.frame.started_at_ns
        return span_ns >= self._lateness_ns or len(self._held) >= MAX_HELD_FRAMES
