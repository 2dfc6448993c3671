"""How much memory a worker took since it was ready: its own, without files and frames that it shares.

On a machine whose GPU has no memory of its own, what a runtime holds there is not in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from edge_bridge.workers.slot_settings import SlotSettings

_MIB = 1024 * 1024
_RESIDENT, _SHARED = 1, 2
"""Fields of /proc/<pid>/statm, in pages (proc_pid_statm(5))."""
_GONE_TOO_FAR = 2
"""Times the limit: there is no time to load another worker beside it."""


class Growth:
    """One ready worker's. outgrown: another should take its place. too_far: it must end now."""

    def __init__(
        self,
        pid: int,
        settings: SlotSettings,
        outgrown: Callable[[str], None],
        too_far: Callable[[str], None],
    ) -> None:
        self._statm = Path(f"/proc/{pid}/statm")
        self._settings = settings
        self._outgrown = outgrown
        self._too_far = too_far
        self._at_first_bytes = self._own_bytes()

    def answered(self, answers: int) -> None:
        """It answered so many frames so far; now and then it is weighed."""
        if answers % self._settings.weigh_every_frames != 0:
            return
        grown_bytes, limit_bytes = self._own_bytes() - self._at_first_bytes, self._limit_bytes
        if grown_bytes <= limit_bytes:
            return
        tell = self._too_far if grown_bytes > _GONE_TOO_FAR * limit_bytes else self._outgrown
        tell(
            f"it took {grown_bytes // _MIB} MiB since it was ready, {limit_bytes // _MIB} are allowed"
        )

    @property
    def _limit_bytes(self) -> int:
        return self._settings.growth_limit_bytes

    def _own_bytes(self) -> int:
        try:
            pages = [int(field) for field in self._statm.read_text(encoding="ascii").split()]
        except (FileNotFoundError, ProcessLookupError):
            return 0  # it is gone, and the end of its socket is about to be read
        return (pages[_RESIDENT] - pages[_SHARED]) * os.sysconf("SC_PAGE_SIZE")
