"""Lines become records, records go into the segment, severe ones are also said at once."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.live import LiveRecords
from edge_bridge.logs.notes import Notes
from edge_bridge.logs.parsing import record_of
from edge_bridge.logs.wire import Sealed, encoded
from edge_bridge.logs.writing import SegmentWriter
from fleetward.logs.record import LogRecord, Resource


class Intake:
    """``positions`` says how far all sources were read whose records were given here."""

    def __init__(
        self,
        writer: SegmentWriter,
        limits: LogSettings,
        notes: Notes,
        bridge: socket.socket,
        positions: Callable[[], bytes],
    ) -> None:
        self._writer = writer
        self._limits = limits
        self._notes = notes
        self._bridge = bridge
        self._positions = positions
        now_s = time.monotonic()
        self._live = LiveRecords(limits, now_s)
        self._written_s = self._said_s = now_s
        self._told: set[str] = set()

    def lines(self, lines: Sequence[bytes], unit: Resource) -> None:
        """Each is a record, by whatever ``unit`` it does not say itself."""
        now_ns = time.time_ns()
        self.records([record_of(line, unit, now_ns) for line in lines])

    def records(self, records: Sequence[LogRecord]) -> None:
        """Keep them."""
        if not records:
            return
        if not self._writer.waits:
            self._written_s = time.monotonic()
        first = self._writer.add(records)
        self._live.saw(records, first, time.monotonic())
        if self._writer.is_full:
            self._writer.write(self._positions())

    def turn(self, now_s: float) -> None:
        """What is due by now: notes, blocks, whole segments, and what the bridge is to be told."""
        self._notes.count("logs.dropped", self._writer.lost)
        self.records(self._notes.due(now_s))
        if self._writer.waits and now_s - self._written_s >= self._limits.block_s:
            self._writer.write(self._positions())
        began_s = self._writer.began_s
        if began_s is not None and now_s - began_s >= self._limits.segment_s:
            self.end()
        if now_s - self._said_s >= self._limits.live_every_s:
            self._said_s = now_s
            self._say()

    def end(self) -> None:
        """End the segment with all that is there."""
        self._writer.write(self._positions())
        self._writer.seal()

    def _say(self) -> None:
        self._told &= {each.name for each in self._writer.sealed}
        for segment in self._writer.sealed:
            if segment.name not in self._told:
                if not self._sent(encoded(Sealed(segment))):
                    return
                self._told.add(segment.name)
        live = self._live.take()
        if live is not None and not self._sent(encoded(live)):
            self._live.unheard(live)

    def _sent(self, content: bytes) -> bool:
        """Without waiting for a bridge that is busy."""
        try:
            self._bridge.send(content)
        except OSError:
            return False
        return True
