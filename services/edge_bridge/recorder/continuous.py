"""Records chosen topics all the time, in a thread, into segments that are sealed by size and by time.

Whoever records puts a message into a bounded queue and goes on. Each gets a number, also one that does not
fit and is lost; so a segment's numbers tell what is missing in it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path

from edge_bridge.recorder.file import Recorded
from edge_bridge.recorder.leftovers import SUFFIX, Leftovers
from edge_bridge.recorder.limits import ContinuousLimits
from edge_bridge.recorder.recorder import Maker
from edge_bridge.recorder.sealing import Sealer, Written, after_others
from edge_bridge.recorder.segment_file import SegmentFile
from edge_bridge.shipping.numbers import MessageNumbers
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)
_WEIGHT_BYTES = 512
"""What each message counts for in the queue besides its content."""


class ContinuousRecorder:
    """What is recorded all the time. ``put`` and ``later`` may be called from any thread."""

    def __init__(
        self,
        directory: Path,
        sealer: Sealer,
        numbers: MessageNumbers,
        limits: ContinuousLimits,
        *,
        make_room: Callable[[], bool],
        metadata: Mapping[str, str],
        sealed_until: int = 0,
        now_s: Callable[[], float] = time.monotonic,
        open_segment: Callable[[Path], SegmentFile] = SegmentFile,
    ) -> None:
        """``make_room``: whether the disk takes more, once what is old was given up.

        ``sealed_until``: the number that sealed segments reach to. Raises OSError.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._sealer = sealer
        self._numbers = numbers
        self._limits = limits
        self._make_room = make_room
        self._metadata = metadata
        self._leftovers = Leftovers(directory, sealer, metadata, make_room)
        self._sealed_until = sealed_until
        self._now_s = now_s
        self._open_segment = open_segment
        self._queue: deque[tuple[int, int, Recorded | Maker]] = deque()
        self._queued_bytes = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._late = threading.Event()
        self._thread = threading.Thread(target=self._run, name="continuous-recorder", daemon=True)
        self._began_at = numbers.next
        self._shift = 0
        """Added to the numbers of this process, where a power cut took the count back."""
        self._open: SegmentFile | None = None
        self._open_since_s = self._flushed_s = self._refused_s = float("-inf")
        self._next_first = self._next_number = numbers.covered
        self.lost = 0
        """Messages that are in no file: it was behind, or the disk full, or the bridge before ended with them."""
        self._lost_told = 0
        self.wants = lru_cache(maxsize=4096)(self._wants)

    @property
    def waiting(self) -> int:
        """Messages that are not written yet."""
        return len(self._queue)

    def _wants(self, topic: str) -> bool:
        """Whether ``topic`` is one of those that are recorded."""
        return any(fnmatchcase(topic, pattern) for pattern in self._limits.topics)

    def put(self, message: Recorded) -> bool:
        """Record a message; False when it was lost."""
        return self._queued(len(message.content), message)

    def later(self, make: Maker, size_bytes: int = 0) -> bool:
        """Record what ``make`` gives in the recorder's own thread; ``size_bytes`` wait till then."""
        return self._queued(size_bytes, make)

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much would be taken now; it counts as lost when it would not."""
        with self._lock:
            return self._fits(size_bytes) or self._lose()

    def start(self) -> None:
        """Begin to write, with what a bridge before this one left."""
        self._sealer.start()
        self._thread.start()

    def stop(self) -> None:
        """Write and seal what waits, within bounds; the next bridge finds what is not sealed by then."""
        self._stopping.set()
        if self._thread.is_alive():
            self._sealer.hasten()  # who writes may wait for it
            self._thread.join(self._limits.stop_s)
            self._leave_unwritten()
            self._sealer.stop()

    def _leave_unwritten(self) -> None:
        """What was not written in time is lost with this process: say so, and the next bridge says it again."""
        self._late.set()
        if unwritten := self.waiting:
            log(_logger, "continuous.unwritten", level=logging.ERROR, messages=unwritten)

    def _queued(self, size_bytes: int, what: Recorded | Maker) -> bool:
        with self._lock:
            if not self._fits(size_bytes):
                return self._lose()
            size_bytes += _WEIGHT_BYTES
            self._queue.append((self._numbers.take(), size_bytes, what))
            self._queued_bytes += size_bytes
        return True

    def _fits(self, size_bytes: int) -> bool:
        limits = self._limits
        return (
            size_bytes <= limits.message_bytes
            and len(self._queue) < limits.queue_messages
            and self._queued_bytes + size_bytes + _WEIGHT_BYTES <= limits.queue_bytes
        )

    def _lose(self) -> bool:
        """It has a number, which nothing will have: that is how it is missed."""
        self._numbers.take()
        self.lost += 1
        return False

    def _run(self) -> None:
        after_others()
        self._recover()
        while not self._stopping.wait(self._limits.write_every_s):
            self._write_waiting()
            self._tell_lost()
        self._write_waiting()
        self._seal()
        self._tell_lost()

    def _write_waiting(self) -> None:
        while self._queue and not self._late.is_set():
            number, size_bytes, what = self._queue[0]
            self._write(number + self._shift, what)
            with self._lock:  # until it is written it takes memory
                self._queue.popleft()
                self._queued_bytes -= size_bytes
        self._flush_or_seal()

    def _write(self, number: int, what: Recorded | Maker) -> None:
        try:
            message = what if isinstance(what, Recorded) else what()
        except Exception:  # a program's message must end neither the recorder nor the robot
            _logger.exception("continuous.message_failed")
            self.lost += 1
            return
        try:
            segment = self._segment(number)
            if segment is not None:
                segment.add(message, number)
                self._next_number = number + 1
                if segment.size_bytes >= self._limits.segment_bytes or segment.is_full:
                    self._seal()
                return
        except OSError as problem:
            self._abandon(problem)
        except Exception:  # nor must one that MCAP has no way to say
            _logger.exception("continuous.message_failed")
        self.lost += 1

    def _segment(self, number: int) -> SegmentFile | None:
        """The open one, or a new one from ``number``; None: the disk refused a moment ago, or has no room.

        Raises OSError.
        """
        if self._open is None:
            now_s = self._now_s()
            if now_s - self._refused_s < self._limits.retry_wait_s:
                return None
            if not self._make_room():
                self._refused_s = now_s
                return None
            if self._path().exists():  # it could not be mended, and may be at the next start
                self._next_first = number
            self._open = self._open_segment(self._path())
            self._open_since_s = self._flushed_s = now_s
        return self._open

    def _path(self) -> Path:
        return self._directory / f"{self._next_first:020d}{SUFFIX}"

    def _flush_or_seal(self) -> None:
        if self._open is None:
            return
        now_s = self._now_s()
        try:
            if now_s - self._open_since_s >= self._limits.segment_s:
                self._seal()
            elif now_s - self._flushed_s >= self._limits.flush_every_s:
                self._flushed_s = now_s
                self._open.flush()
        except OSError as problem:
            self._abandon(problem)

    def _seal(self) -> None:
        """End the open segment; what the disk refuses is mended."""
        if self._open is None:
            return
        segment = self._open
        try:
            segment.finish(self._metadata)
        except OSError as problem:
            self._abandon(problem)
            return
        self._open = None
        segment.close()
        self._hand_over(segment)

    def _abandon(self, problem: OSError) -> None:
        """The disk failed: what is whole of the open segment is kept, and the disk is left alone for a while."""
        log(_logger, "continuous.disk_failed", level=logging.ERROR, reason=str(problem))
        self._refused_s = self._now_s()
        segment, self._open = self._open, None
        if segment is None:
            return
        segment.close()
        self.lost += segment.waiting
        if self._leftovers.mended(segment.path):
            with suppress(OSError):
                self._hand_over(segment)

    def _hand_over(self, segment: SegmentFile) -> None:
        if not segment.index.messages:
            segment.path.unlink(missing_ok=True)
            return
        first, self._next_first = self._next_first, self._next_number
        self._numbers.cover(self._next_number)
        with suppress(OSError):  # only a power cut would need it
            self._numbers.sync()
        self._sealer.seal(
            Written(
                path=segment.path,
                index=segment.index,
                first_number=first,
                end_number=self._next_number,
            )
        )

    def _recover(self) -> None:
        """Go on behind what a bridge before this one left."""
        covered = max(self._sealed_until, self._numbers.covered)
        covered = self._leftovers.recover(self._began_at, covered)
        self.lost += max(0, self._began_at - covered)  # they had numbers, and nothing has them
        self._numbers.cover(covered)
        self._shift = max(0, covered - self._began_at)
        self._numbers.at_least(self._numbers.next + self._shift)
        self._next_first = self._next_number = covered

    def _tell_lost(self) -> None:
        if self.lost != self._lost_told:
            lost = self.lost - self._lost_told
            log(_logger, "continuous.lost", level=logging.WARNING, messages=lost)
            self._lost_told = self.lost
