"""The frame ledger: every captured frame ends exactly once, as served, failed or dropped.

Pure bookkeeping. A re-issued frame stays open: it was given to a second worker and still owes its
one end. "Nothing lost" is therefore a number, `unaccounted()`, and not a belief; what became of one
frame is answered by `fate_of()`.
"""

from __future__ import annotations

import enum
from collections import deque

from msgspec import Struct

from edge_bridge.errors import LedgerError

MAX_FATES = 4096
"""Of the newest frames that ended: two minutes at 30 Hz, some 400 KiB."""


class End(str, enum.Enum):
    """Where a frame stands. failed: the model answered it with an error."""

    OPEN = "open"
    SERVED = "served"
    FAILED = "failed"
    DROPPED = "dropped"


class Fate(Struct, frozen=True):
    """What became of one frame. reissues: how often it went to another worker on its way."""

    frame: int
    end: End
    reissues: int = 0


class Ledger:
    """Counts since the first model served. Frame ids count up from 1."""

    def __init__(self, max_fates: int = MAX_FATES) -> None:
        self.frames_captured = 0
        self.frames_served = 0
        self.frames_failed = 0
        """Frames the model answered with an error: ended, but not served."""
        self.frames_dropped = 0
        self.frames_reissued = 0
        self._open: dict[int, int] = {}
        """Open frames, and how often each was re-issued."""
        self._fates: dict[int, Fate] = {}
        self._ended: deque[int] = deque()
        self._max_fates = max_fates

    @property
    def next_frame(self) -> int:
        """The id the next captured frame gets."""
        return self.frames_captured + 1

    @property
    def open_frames(self) -> frozenset[int]:
        """The frames that wait for a worker or for its answer."""
        return frozenset(self._open)

    def capture(self) -> int:
        """Open a frame and return its id."""
        self.frames_captured += 1
        self._open[self.frames_captured] = 0
        return self.frames_captured

    def serve(self, frame: int) -> None:
        """End a frame with a result; raises LedgerError unless it is open."""
        self._end(frame, End.SERVED)
        self.frames_served += 1

    def fail(self, frame: int) -> None:
        """End a frame with the model's error; raises LedgerError unless it is open."""
        self._end(frame, End.FAILED)
        self.frames_failed += 1

    def drop(self, frame: int) -> None:
        """End a frame without an answer; raises LedgerError unless it is open."""
        self._end(frame, End.DROPPED)
        self.frames_dropped += 1

    def reissue(self, frame: int) -> None:
        """Note that an open frame goes to another worker; raises LedgerError unless it is open."""
        self._must_be_open(frame)
        self._open[frame] += 1
        self.frames_reissued += 1

    def fate_of(self, frame: int) -> Fate | None:
        """What became of a frame; None: never captured, or ended more than MAX_FATES frames ago."""
        if frame in self._open:
            return Fate(frame, End.OPEN, self._open[frame])
        return self._fates.get(frame)

    def unaccounted(self) -> int:
        """Captured frames without an end yet; 0 whenever no frame is waiting or in flight."""
        ended = self.frames_served + self.frames_failed + self.frames_dropped
        return self.frames_captured - ended

    def _end(self, frame: int, end: End) -> None:
        self._must_be_open(frame)
        self._fates[frame] = Fate(frame, end, self._open.pop(frame))
        self._ended.append(frame)
        if len(self._ended) > self._max_fates:
            del self._fates[self._ended.popleft()]

    def _must_be_open(self, frame: int) -> None:
        if frame not in self._open:
            raise LedgerError(
                f"frame {frame} is not open: it ended before or was never captured. "
                "This is a defect of the bridge; please report it."
            )
