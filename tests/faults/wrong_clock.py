"""A bridge whose clock is days off: ``python wrong_clock.py DAYS``.

What Python reads of the wall clock is shifted before the bridge starts; the monotonic clock is
right, as it is on a robot whose battery-backed clock died.
"""

from __future__ import annotations

import importlib
import runpy
import sys
import time
from datetime import datetime, timedelta, tzinfo

DAY_S = 86_400
READERS = ("edge_bridge.fetching.fetch", "edge_bridge.converging.handlers", "edge_bridge.bridge")
"""Who asks ``datetime`` for the time; the rest of the bridge asks ``time``."""


def shift(offset_s: float) -> None:
    """Set the clock of this process."""
    right_s, right_ns, right = time.time, time.time_ns, datetime
    time.time = lambda: right_s() + offset_s
    time.time_ns = lambda: right_ns() + int(offset_s * 1e9)

    class Wrong(datetime):
        """Reads the shifted clock; every moment it makes is an ordinary datetime."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # msgspec takes no subclass
            return right.now(tz) + timedelta(seconds=offset_s)

        @classmethod
        def fromtimestamp(  # type: ignore[override]  # the same
            cls, timestamp: float, tz: tzinfo | None = None
        ) -> datetime:
            return right.fromtimestamp(timestamp, tz)

    for name in READERS:
        vars(importlib.import_module(name))["datetime"] = Wrong


if __name__ == "__main__":
    shift(float(sys.argv[1]) * DAY_S)
    runpy.run_module("edge_bridge", run_name="__main__")
