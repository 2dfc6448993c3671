"""The two clocks of the process, in one place, so that tests can pass their own."""

from __future__ import annotations

import time
from datetime import datetime, timezone


class Clock:
    """What time it is."""

    def monotonic_s(self) -> float:
        """Seconds that only go forward."""
        return time.monotonic()

    def now(self) -> datetime:
        """Wall time, UTC."""
        return datetime.now(timezone.utc)
