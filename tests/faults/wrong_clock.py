"""A bridge whose clock is days off: ``python wrong_clock.py DAYS [later]``.

What Python reads of the wall clock is shifted before the bridge starts, or jumps on SIGUSR1 while it runs
(``later``); the monotonic clock is right, as it is on a robot whose battery-backed clock died.
"""

from __future__ import annotations

import importlib
import runpy
import signal
import sys
import time
from datetime import datetime, timedelta, tzinfo

LATER = "later"
READERS = (
    "edge_bridge.converging.handlers",
    "edge_bridge.converging.swap_gate",
    "edge_bridge.converging.unasked",
    "edge_bridge.credentials.held",
    "edge_bridge.fetching.transfer",
)
"""Who asks ``datetime`` for the time; the rest of the bridge asks ``time``."""
offset = timedelta()


def set_clock(by: timedelta) -> None:
    """Set the clock of this process, which has one, from now on."""
    global offset
    offset = by


def replace_clock() -> None:
    """Whoever asks for the time is told one that is off by ``offset``."""
    right_s, right_ns, right = time.time, time.time_ns, datetime
    time.time = lambda: right_s() + offset.total_seconds()
    time.time_ns = lambda: right_ns() + offset // timedelta(microseconds=1) * 1000

    class Wrong(datetime):
        """Reads the shifted clock; every moment it makes is an ordinary datetime."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # msgspec takes no subclass
            return right.now(tz) + offset

        @classmethod
        def fromtimestamp(  # type: ignore[override]  # the same
            cls, timestamp: float, tz: tzinfo | None = None
        ) -> datetime:
            return right.fromtimestamp(timestamp, tz)

    for name in READERS:
        vars(importlib.import_module(name))["datetime"] = Wrong


def main(days: str, when: str = "") -> None:
    """Run the bridge that the environment describes."""
    by = timedelta(days=float(days))
    replace_clock()
    if when == LATER:
        signal.signal(signal.SIGUSR1, lambda *_: set_clock(by))
    else:
        set_clock(by)
    runpy.run_module("edge_bridge", run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
