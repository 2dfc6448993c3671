"""Files of what is recorded all the time that have no end: mended and sealed, or left for the next start.

A file that cannot be mended now stays as it is, under its name, and nobody writes there.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from edge_bridge.recorder.mending import mend, scan
from edge_bridge.recorder.sealing import Sealer, Written
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)
SUFFIX = ".mcap"
UNMENDED = 4
"""Files that are left for the next start; past it the oldest goes, and its numbers are missing."""
_SEQUENCES = 1 << 32


class Leftovers:
    """What lies in the directory of open segments. One thread at a time."""

    def __init__(
        self,
        directory: Path,
        sealer: Sealer,
        metadata: Mapping[str, str],
        make_room: Callable[[], bool],
    ) -> None:
        """``make_room``: asked for before each is mended, since its end takes room too."""
        self._directory = directory
        self._sealer = sealer
        self._metadata = metadata
        self._make_room = make_room
        self._unmended: deque[Path] = deque()

    def recover(self, counted: int, covered: int) -> int:
        """Seal what a bridge before this one did not, in its order; gives the number that all reaches to.

        Numbers below ``counted`` were given to messages, those below ``covered`` are of segments.
        """
        left = sorted(self._directory.glob(f"{'[0-9]' * 20}{SUFFIX}"))
        ends = [int(path.stem) for path in left[1:]] + [counted for _ in left[:1]]
        reached = covered
        for path, end in zip(left, ends, strict=True):
            reached = max(reached, self._recover_or_leave(path, end, covered))
        return reached

    def mended(self, path: Path) -> bool:
        """Give the file its end; False: the disk refuses, and it is left for the next start."""
        try:
            self._mend(path)
        except OSError as problem:
            self._leave(path, problem)
            return False
        return True

    def _mend(self, path: Path) -> None:
        self._make_room()
        mend(path, self._metadata)

    def _recover_or_leave(self, path: Path, end: int, covered: int) -> int:
        first = int(path.stem)
        try:
            # What follows one that was not mended in its time may be sealed: it ends with its last message.
            return self._recover_one(path, first if first < covered else end)
        except OSError as problem:
            self._leave(path, problem)
            return max(end, first + 1)

    def _recover_one(self, path: Path, end: int) -> int:
        """The number that its messages reach to."""
        with path.open("rb") as file:
            found = scan(file)
        if not found.index.messages:
            path.unlink()
            return 0
        first = int(path.stem)
        if not found.is_ended:
            self._mend(path)
            log(_logger, "segment.mended", first_number=first, messages=found.index.messages)
        last = first + (found.index.last_sequence - first) % _SEQUENCES
        end = max(end, last + 1)
        self._sealer.seal(
            Written(
                path=path,
                index=found.index,
                first_number=first,
                end_number=end,
                cut_off=not found.is_ended,
            )
        )
        return end

    def _leave(self, path: Path, problem: OSError) -> None:
        log(
            _logger,
            "segment.not_mended",
            level=logging.ERROR,
            path=str(path),
            reason=str(problem),
        )
        self._unmended.append(path)
        if len(self._unmended) > UNMENDED:
            self._give_up(self._unmended.popleft())

    def _give_up(self, path: Path) -> None:
        log(_logger, "segment.lost", level=logging.ERROR, path=str(path))
        try:
            path.unlink(missing_ok=True)
        except OSError as problem:
            log(_logger, "segment.stuck", level=logging.ERROR, reason=str(problem))
