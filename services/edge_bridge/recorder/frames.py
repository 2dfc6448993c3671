"""Frames are recorded as they pass to the worker, from a source or from a place that was lent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from typing_extensions import Buffer

from edge_bridge.frames import Frame, FrameSink, FrameType
from edge_bridge.recorder import messages
from edge_bridge.recorder.recorder import FlightRecorder, now_ns
from edge_bridge.sources.source import Source
from edge_bridge.workers.pump import Loan

if TYPE_CHECKING:
    from edge_bridge.recorder.continuous import ContinuousRecorder


class FrameTaker(Protocol):
    """Records frames, each in its own way. ``take`` copies: their owner may use the memory again."""

    every: int
    """It takes every so many-th."""

    def take(self, content: Buffer, shape: tuple[int, ...], dtype: str, at_ns: int) -> None:
        """Record this one, unless there is no room."""


class JpegFrames:
    """For the flight recorder."""

    def __init__(self, recorder: FlightRecorder, every: int) -> None:
        self.every = every
        self._recorder = recorder

    def take(self, content: Buffer, shape: tuple[int, ...], dtype: str, at_ns: int) -> None:
        """Compressed in the recorder's thread."""
        size_bytes = memoryview(content).nbytes
        if self._recorder.has_room(size_bytes):
            copied = bytes(content)
            self._recorder.later(lambda: messages.image(copied, shape, dtype, at_ns), size_bytes)


class RawFrames:
    """For what is recorded all the time."""

    def __init__(self, recorder: ContinuousRecorder, every: int) -> None:
        self.every = every
        self._recorder = recorder

    def take(self, content: Buffer, shape: tuple[int, ...], dtype: str, at_ns: int) -> None:
        """As it is."""
        if self._recorder.has_room(memoryview(content).nbytes):
            self._recorder.put(messages.raw_image(content, shape, dtype, at_ns))


class PassingFrames:
    """Has frames recorded, after the worker has them. On the event loop."""

    def __init__(self, takers: Sequence[FrameTaker]) -> None:
        self._takers = takers
        self._seen = 0

    def of(self, source: Source) -> Source:
        """``source``, with its frames recorded."""
        return _Watched(source, self)

    def lent(self, loan: Loan, shape: tuple[int, ...], dtype: FrameType) -> Loan:
        """``loan``, with its frame recorded when it is given."""

        def given() -> int:
            number = loan.give()
            self.passed(loan.memory, shape, dtype)  # nobody writes there before this turn ends
            return number

        return Loan(loan.memory, given, loan.return_it, loan.begin)

    def passed(self, content: Buffer, shape: tuple[int, ...], dtype: FrameType) -> None:
        """To those whose turn it is."""
        self._seen += 1
        at_ns = now_ns()
        for taker in self._takers:
            if self._seen % taker.every == 0:
                taker.take(content, shape, dtype, at_ns)


class _Watched:
    """A source whose frames are recorded as they pass."""

    def __init__(self, source: Source, passing: PassingFrames) -> None:
        self._source = source
        self._passing = passing

    async def run(self, sink: FrameSink) -> None:
        def taken(frame: Frame) -> int | None:
            number = sink(frame)
            self._passing.passed(frame.content, frame.shape, frame.dtype)
            return number

        await self._source.run(taken)
