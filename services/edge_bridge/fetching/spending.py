"""What fetching a model has cost: an account that survives kill -9, so that a byte cap does too.

A line is written before each GET, for all of it, and another one after it for what did not come.
A process that dies in between is charged for the whole GET: never too little.
"""

from __future__ import annotations

from pathlib import Path

from edge_bridge.files import Files

_PLANNED = "planned"
_ASKED = "asked"
_UNUSED = "unused"
_END = "."
"""Ends a line, so that one which a full disk cut short is known as such."""


class Spending:
    """One target's account. Only lines of its own generation count."""

    def __init__(self, path: Path, generation: int, files: Files) -> None:
        self._path = path
        self._generation = generation
        self._files = files
        self.spent_bytes = 0
        self.planned_bytes: int | None = None
        """What the first plan of this generation said it would cost."""

    def open(self) -> Spending:
        """Read what earlier attempts of this generation wrote down; a torn line is no line."""
        text = self._files.read(self._path) or b""
        for line in text.decode("ascii", "replace").splitlines():
            words = line.split()
            is_whole = len(words) == 4 and words[2].isdecimal() and words[3] == _END
            if is_whole and words[1] == str(self._generation):
                self._take(words[0], int(words[2]))
        return self

    def plan(self, planned_bytes: int) -> None:
        """The first plan counts: later ones are for what is left."""
        if self.planned_bytes is None:
            self._write(_PLANNED, planned_bytes, durable=False)

    def ask(self, length: int, *, durable: bool) -> None:
        """So many bytes are about to be asked for."""
        self._write(_ASKED, length, durable=durable)

    def unused(self, length: int) -> None:
        """So many of those did not come."""
        self._write(_UNUSED, length, durable=False)

    def _write(self, word: str, number: int, *, durable: bool) -> None:
        line = f"\n{word} {self._generation} {number} {_END}"
        self._files.append(self._path, line, durable=durable)
        self._take(word, number)

    def _take(self, word: str, number: int) -> None:
        if word == _PLANNED:
            self.planned_bytes = number
        else:
            self.spent_bytes += number if word == _ASKED else -number
