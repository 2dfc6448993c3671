"""Keeps the last seconds of what happens on the robot, in a thread, and holds up nobody for it.

Whoever records puts a message into a bounded queue and goes on; what does not fit is dropped and
counted. Messages become bytes in the thread, as far as they can.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import IO

from edge_bridge.recorder.file import Recorded, cut
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.recorder.ring import SegmentRing
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)
_WEIGHT_BYTES = 512
"""What a message that is not bytes yet counts for in the queue."""

Maker = Callable[[], Recorded]
"""Makes the message when the thread comes to it."""
Later = Callable[[], Recorded | None]
"""Makes the message when the thread comes to it; None: there is nothing to record."""


class FlightRecorder:
    """The robot's last seconds. ``put`` and ``later`` may be called from any thread."""

    def __init__(self, ring: SegmentRing, limits: RecorderLimits) -> None:
        self._ring = ring
        self._limits = limits
        self._queue: deque[tuple[int, Recorded | Later]] = deque()
        self._queued_bytes = self._being_written = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flight-recorder", daemon=True)
        self.dropped = 0
        """Messages that the queue, the disk or their own maker did not take."""
        self._dropped_told = 0

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end the open segment, for ``stop_s``; a disk that takes longer costs messages."""
        self._stopping.set()
        if not self._thread.is_alive():
            self._finish()
            return
        self._thread.join(self._limits.stop_s)
        if self._thread.is_alive():
            unwritten = self._being_written + len(self._queue)
            log(_logger, "recorder.unwritten", level=logging.ERROR, messages=unwritten)

    def put(self, message: Recorded) -> bool:
        """Record a message; False when it was dropped."""
        return self._queued(len(message.content) + _WEIGHT_BYTES, message)

    def later(self, make: Later, size_bytes: int = 0) -> bool:
        """Record what ``make`` gives in the recorder's own thread; ``size_bytes`` wait till then."""
        return self._queued(size_bytes + _WEIGHT_BYTES, make)

    def has_room(self, size_bytes: int) -> bool:
        """Whether so much would be taken now; counts a message as dropped when it would not."""
        with self._lock:
            has_room = self._fits(size_bytes + _WEIGHT_BYTES)
            self.dropped += not has_room
        return has_room

    def want(self, wanted: bool) -> None:
        """Whether a recording still needs what is in the ring."""
        with self._writing:
            self._ring.wanted = wanted

    def cut(
        self,
        target: IO[bytes],
        between_ns: tuple[int, int],
        limit_bytes: int,
        metadata: Mapping[str, str],
    ) -> int:
        """Write all that was recorded between two instants; see ``recorder_file.cut``."""
        with self._writing:
            self._write()
            segments = self._ring.segments()
        return cut(segments, target, between_ns, limit_bytes, metadata)

    def _queued(self, size_bytes: int, what: Recorded | Later) -> bool:
        with self._lock:
            if not self._fits(size_bytes):
                self.dropped += 1
                return False
            self._queue.append((size_bytes, what))
            self._queued_bytes += size_bytes
        return True

    def _fits(self, size_bytes: int) -> bool:
        return (
            len(self._queue) < self._limits.queue_messages
            and self._queued_bytes + size_bytes <= self._limits.queue_bytes
        )

    def _run(self) -> None:
        while not self._stopping.wait(self._limits.write_every_s):
            with self._writing:
                self._write()
            self._tell_dropped()
        self._finish()

    def _finish(self) -> None:
        with self._writing:
            self._write()
            self._ring.close()
        self._tell_dropped()

    def _write(self) -> None:
        with self._lock:
            waiting, self._queue = self._queue, deque()
            self._queued_bytes, self._being_written = 0, len(waiting)
        messages = [made for _, what in waiting if (made := self._made(what)) is not None]
        self.dropped += len(messages) - self._ring.write(messages)
        self._being_written = 0

    def _made(self, what: Recorded | Later) -> Recorded | None:
        if isinstance(what, Recorded):
            return what
        try:
            return what()
        except Exception:  # a program's message must end neither the recorder nor the robot
            _logger.exception("recorder.message_failed")
            self.dropped += 1
            return None

    def _tell_dropped(self) -> None:
        if self.dropped != self._dropped_told:
            log(
                _logger,
                "recorder.dropped",
                level=logging.WARNING,
                messages=self.dropped - self._dropped_told,
                segments_thinned=self._ring.thinned,
            )
            self._dropped_told = self.dropped


def now_ns() -> int:
    """By the robot's clock."""
    return time.time_ns()
