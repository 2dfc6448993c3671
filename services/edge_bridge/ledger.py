"""The frame ledger: every captured frame ends exactly once, as served, failed or dropped.

Pure bookkeeping. A re-issued frame stays open: it was given to a second worker and still owes its
one end. "Nothing lost" is therefore a number, `unaccounted()`, and not a belief.
"""

from __future__ import annotations

from edge_bridge.errors import LedgerError


class Ledger:
    """Counts since the first model served. Frame ids count up from 1."""

    def __init__(self) -> None:
        self.frames_captured = 0
        self.frames_served = 0
        self.frames_failed = 0
        """Frames the model answered with an error: ended, but not served."""
        self.frames_dropped = 0
        self.frames_reissued = 0
        self._open: set[int] = set()

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
        self._open.add(self.frames_captured)
        return self.frames_captured

    def serve(self, frame: int) -> None:
        """End a frame with a result; raises LedgerError unless it is open."""
        self._end(frame)
        self.frames_served += 1

    def fail(self, frame: int) -> None:
        """End a frame with the model's error; raises LedgerError unless it is open."""
        self._end(frame)
        self.frames_failed += 1

    def drop(self, frame: int) -> None:
        """End a frame without an answer; raises LedgerError unless it is open."""
        self._end(frame)
        self.frames_dropped += 1

    def reissue(self, frame: int) -> None:
        """Note that an open frame goes to another worker; raises LedgerError unless it is open."""
        self._must_be_open(frame)
        self.frames_reissued += 1

    def unaccounted(self) -> int:
        """Captured frames without an end yet; 0 whenever no frame is waiting or in flight."""
        ended = self.frames_served + self.frames_failed + self.frames_dropped
        return self.frames_captured - ended

    def _end(self, frame: int) -> None:
        self._must_be_open(frame)
        self._open.remove(frame)

    def _must_be_open(self, frame: int) -> None:
        if frame not in self._open:
            raise LedgerError(
                f"frame {frame} is not open: it ended before or was never captured. "
                "This is a defect of the bridge; please report it."
            )
