"""Frames are recorded as they pass to the worker, from a source or from a place that was lent."""

from __future__ import annotations

from typing_extensions import Buffer

from edge_bridge.frames import Frame, FrameSink, FrameType
from edge_bridge.recorder import messages
from edge_bridge.recorder.recorder import FlightRecorder, now_ns
from edge_bridge.sources.source import Source
from edge_bridge.workers.pump import Loan


class PassingFrames:
    """Records every so many-th frame, after the worker has it. On the event loop."""

    def __init__(self, recorder: FlightRecorder, every: int) -> None:
        self._recorder = recorder
        self._every = every
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

        return Loan(loan.memory, given, loan.return_it)

    def passed(self, content: Buffer, shape: tuple[int, ...], dtype: FrameType) -> None:
        """Copied here, if it is one to record: its owner may use the memory again."""
        self._seen += 1
        if self._seen % self._every:
            return
        at_ns, size_bytes = now_ns(), memoryview(content).nbytes
        if not self._recorder.has_room(size_bytes):
            return
        copied = bytes(content)
        self._recorder.later(lambda: messages.image(copied, shape, dtype, at_ns), size_bytes)


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
