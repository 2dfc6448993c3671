"""Frames that a thread of its own produces: what decodes waits for devices and disks, the loop never."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, suppress

from msgspec import Struct

from edge_bridge.errors import BridgeError, FrameRefusedError
from edge_bridge.frames import Frame, FrameSink
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

RETRY_WAIT_S = 1.0
RETRY_WAIT_LIMIT_S = 30.0


class SourceLostError(BridgeError):
    """A camera or a recording cannot be read now: what it is, and what to look at."""


class Timed(Struct, frozen=True):
    """A frame and when it is due, in seconds since the first; None: it was captured just now."""

    frame: Frame
    due_s: float | None = None


class PlayedSource:
    """Plays what ``open_frames`` yields, again from the start when it ends, and again when it is lost.

    ``open_frames`` is called in the thread, may block, and raises SourceLostError.
    """

    def __init__(self, name: str, open_frames: Callable[[], Generator[Timed, None, None]]) -> None:
        self._name = name
        self._open_frames = open_frames

    async def run(self, sink: FrameSink) -> None:
        """Give frames to ``sink`` until cancelled; a source that is lost is tried again, ever later.

        Raises FrameRefusedError: no later frame of the same source would do better.
        """
        loop, stopping = asyncio.get_running_loop(), threading.Event()
        refused: asyncio.Future[None] = loop.create_future()

        def take(frame: Frame) -> None:
            if refused.done():
                return
            try:
                sink(frame)
            except FrameRefusedError as error:
                refused.set_exception(error)

        def give(frame: Frame) -> None:
            with suppress(RuntimeError):  # the loop ended while this frame was decoded
                loop.call_soon_threadsafe(take, frame)

        # A daemon: a camera that gives nothing must not hold the process up when it ends.
        playing = threading.Thread(
            target=self._play, args=(give, stopping), name=f"frames of {self._name}", daemon=True
        )
        playing.start()
        try:
            await refused
        finally:
            stopping.set()

    def _play(self, give: Callable[[Frame], None], stopping: threading.Event) -> None:
        wait_s = RETRY_WAIT_S
        while not stopping.is_set():
            try:
                with closing(_paced(self._open_frames(), stopping)) as frames:
                    for frame in frames:
                        give(frame)
                        wait_s = RETRY_WAIT_S
            except SourceLostError as problem:
                reason = str(problem)
                log(_logger, "source.lost", level=logging.WARNING, source=self._name, reason=reason)
                stopping.wait(wait_s)
                wait_s = min(2 * wait_s, RETRY_WAIT_LIMIT_S)


def _paced(
    frames: Generator[Timed, None, None], stopping: threading.Event
) -> Generator[Frame, None, None]:
    """Each frame when it is due; those that a stall made late follow at once, and the latest wins."""
    began_s = time.monotonic()
    with closing(frames):
        for timed in frames:
            if timed.due_s is not None:
                stopping.wait(max(0.0, began_s + timed.due_s - time.monotonic()))
            if stopping.is_set():
                return
            yield timed.frame
