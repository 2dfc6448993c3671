"""Lines become records: a line of text goes on in lines that are indented, and in a traceback's."""

from __future__ import annotations

from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.parsing import TRACEBACK

_HEADER = TRACEBACK.encode()
_INDENTED = (b" ", b"\t")
_CHAINED = (
    b"During handling of the above exception",
    b"The above exception was the direct cause",
)
_COMPLAINTS = (b"ERROR", b"CRITICAL", b"FATAL", b"WARN", b"Exception", b"error")
"""A line that has one may introduce the traceback behind it; others have nothing to do with it."""


class LineStream:
    """One file's or program's bytes, in order. ``held_bytes`` of them are in no record yet."""

    def __init__(self, limits: LogSettings) -> None:
        self._limits = limits
        self._rest = b""
        self._skipping = False
        self._group: list[bytes] = []
        self._group_bytes = 0
        self._traceback = self._chained = False
        self._began_s: float | None = None
        self.lines_cut = 0

    @property
    def held_bytes(self) -> int:
        """Whoever reads again from so far back loses nothing and has nothing twice."""
        return len(self._rest) + self._group_bytes

    def feed(self, content: bytes, now_s: float) -> list[bytes]:
        """The records that ``content`` ends."""
        lines = (self._rest + content).split(b"\n")
        self._rest = lines.pop()
        if self._skipping:
            self._skipping = not lines
            lines = lines[1:]
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > self._limits.line_bytes:
            lines.append(self._rest)
            self._rest, self._skipping = b"", True
        records: list[bytes] = []
        for line in lines:
            if line[:1] == b"{" and not self._group and len(line) <= self._limits.line_bytes:
                records.append(line)
            else:
                self._take(self._within(line), records)
        if self._group:
            self._began_s = now_s if self._began_s is None or records else self._began_s
        return records

    def rest(self, now_s: float) -> list[bytes]:
        """The record that has waited long enough for its next line."""
        if self._began_s is None or now_s - self._began_s < self._limits.gather_s:
            return []
        return self._ended()

    def end(self) -> list[bytes]:
        """Nothing comes any more: what is left, the last line perhaps without its end."""
        records: list[bytes] = []
        if self._rest:
            self._take(self._rest, records)
        self._rest, self._skipping = b"", False
        return records + self._ended()

    def _take(self, line: bytes, records: list[bytes]) -> None:
        if not self._goes_on(line):
            records += self._ended()
            if not line.strip():
                return
            if line[:1] == b"{":
                records.append(line)
                return
        self._group.append(line)
        self._group_bytes += len(line) + 1
        if line.startswith(_HEADER):
            self._traceback, self._chained = True, False

    def _goes_on(self, line: bytes) -> bool:
        if not self._group:
            return False
        full = self._group_bytes + len(line) > self._limits.record_bytes
        if full or len(self._group) >= self._limits.record_lines:
            return False
        if line.startswith(_INDENTED):
            return True
        if line.startswith(_HEADER):
            return self._chained or any(word in self._group[0] for word in _COMPLAINTS)
        if self._traceback:
            return self._goes_on_in_traceback(line)
        return False

    def _goes_on_in_traceback(self, line: bytes) -> bool:
        """Its frames are indented; then comes the error, and perhaps another traceback behind a blank line."""
        if not line.strip():
            return True
        if line.startswith(_CHAINED):
            self._chained = True
            return True
        last = self._group[-1]
        return last.startswith(_INDENTED) or last.startswith(_HEADER)

    def _ended(self) -> list[bytes]:
        group, self._group = self._group, []
        self._group_bytes, self._began_s = 0, None
        self._traceback = self._chained = False
        return [b"\n".join(group).rstrip()] if group else []

    def _within(self, line: bytes) -> bytes:
        if len(line) <= self._limits.line_bytes:
            return line
        self.lines_cut += 1
        return line[: self._limits.line_bytes]
