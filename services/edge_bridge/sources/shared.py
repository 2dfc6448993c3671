"""One source whose frames several pipelines see: each takes its own copy into its own ring."""

from __future__ import annotations

from edge_bridge.frames import Frame, FrameSink
from edge_bridge.sources.source import PushSource, Source


class SharedSource:
    """The source itself, and as many taps of it as there are pipelines beside the robot's own."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._taps: list[PushSource] = []

    def tap(self) -> Source:
        """Another source of the same frames."""
        tap = PushSource()
        self._taps.append(tap)
        return tap

    async def run(self, sink: FrameSink) -> None:
        """As the source itself; its frames have the ids that ``sink`` gives them."""

        def show(frame: Frame) -> int | None:
            taken = sink(frame)
            for tap in self._taps:
                tap.push(frame)
            return taken

        await self._source.run(show)
