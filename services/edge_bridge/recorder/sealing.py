"""Seals segments that were written to their end, in a thread: hashed, made durable, put into the outbox.

The writer goes on with the next one meanwhile, and waits only when the disk is so many behind.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from queue import Full, Queue

from msgspec import Struct

from edge_bridge.errors import BridgeError
from edge_bridge.recorder.segment_index import SegmentIndex
from edge_bridge.shipping.fingerprint import fingerprint
from edge_bridge.shipping.outbox import Outbox
from fleetward.bus.logs import log
from fleetward.contracts.ids import SegmentId
from fleetward.contracts.segments import TOPICS_TOLD, Segment, SegmentKind

_logger = logging.getLogger(__name__)
_NS_PER_S = 1_000_000_000
BEHIND = 2
"""Segments that are written and not sealed yet."""
ATTEMPTS = 5
RETRY_WAIT_S = 1.0
NICENESS = 10
"""Of the threads that record: whoever moves the robot goes first, on a machine that has too little."""


def after_others() -> None:
    """Let this thread yield to those that are not lowered; a machine that will not have it goes on."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class Written(Struct, frozen=True, kw_only=True):
    """A whole file, and which numbers it covers."""

    path: Path
    index: SegmentIndex
    first_number: int
    end_number: int
    cut_off: bool = False


class Sealer:
    """Takes files from one thread and seals them in its own, in their order."""

    def __init__(
        self, outbox: Outbox, clock_offset_s: Callable[[], float | None], stop_s: float
    ) -> None:
        """``stop_s``: how long the end of the bridge may wait for what is being sealed."""
        self._outbox = outbox
        self._stop_s = stop_s
        self._clock_offset_s = clock_offset_s
        self._written: Queue[Written | None] = Queue(BEHIND)
        self._stopping = threading.Event()
        self.lost = 0
        """Messages of files that could not be sealed."""
        self._thread = threading.Thread(target=self._run, name="segment-sealer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def seal(self, written: Written) -> None:
        """Waits while ``BEHIND`` files wait."""
        self._written.put(written)

    def hasten(self) -> None:
        """Try each file once from now on: what fails, the next bridge finds."""
        self._stopping.set()

    def stop(self) -> None:
        """Seal what waits, for ``stop_s``; what is not sealed then, the next bridge finds and seals."""
        self.hasten()
        until_s = time.monotonic() + self._stop_s
        with suppress(Full):
            self._written.put(None, timeout=self._stop_s)
        self._thread.join(max(0.0, until_s - time.monotonic()))

    def _run(self) -> None:
        after_others()
        while (written := self._written.get()) is not None:
            self._seal(written)

    def _seal(self, written: Written) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            if self._sealed(written):
                return
            if self._stopping.wait(RETRY_WAIT_S * attempt):
                return
        self._give_up(written)

    def _sealed(self, written: Written) -> bool:
        try:
            taken = fingerprint(written.path)
            segment = segment_of(written, self._clock_offset_s(), taken.digest, taken.size_bytes)
            self._outbox.put(written.path, segment, taken.part_md5s)
        except (BridgeError, OSError) as problem:
            log(
                _logger,
                "segment.not_sealed",
                level=logging.ERROR,
                path=str(written.path),
                reason=str(problem),
            )
            return False
        return True

    def _give_up(self, written: Written) -> None:
        """Its numbers are missing between its neighbours', so nobody takes it for nothing."""
        messages = written.index.messages
        self.lost += messages
        log(_logger, "segment.lost", level=logging.ERROR, messages=messages)
        try:
            written.path.unlink(missing_ok=True)
        except OSError as problem:
            log(_logger, "segment.stuck", level=logging.ERROR, reason=str(problem))


def segment_of(
    written: Written, clock_offset_s: float | None, digest: str, size_bytes: int
) -> Segment:
    """What is told of a file."""
    index, offset = written.index, timedelta(seconds=clock_offset_s or 0.0)
    first, last = _utc(index.first_ns), _utc(index.last_ns)
    return Segment(
        segment_id=SegmentId(f"rec-{first:%Y%m%dt%H%M%S}-{written.first_number}"),
        kind=SegmentKind.RECORDING,
        digest=digest,  # type: ignore[arg-type]  # a fingerprint's
        size_bytes=size_bytes,
        messages=index.messages,
        first_number=written.first_number,
        end_number=written.end_number,
        started_at=first + offset,
        ended_at=last + offset,
        topics=dict(Counter(index.topics).most_common(TOPICS_TOLD)),
        clock_offset_s=clock_offset_s,
        cut_off=written.cut_off,
        sealed_at=datetime.now(timezone.utc) + offset,
    )


def _utc(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / _NS_PER_S, timezone.utc)
