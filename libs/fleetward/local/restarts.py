"""When to start a process again that ended: soon, later, or not at all."""

from __future__ import annotations

from msgspec import Struct

FIRST_DELAY_S = 0.1
LAST_DELAY_S = 5.0
SETTLED_S = 10.0
"""A process that ran this long was well; what ended it is taken as news."""
CRASH_LOOP_LIMIT = 6
"""So many ends in a row, none of them after SETTLED_S, are a crash loop."""


class RestartHistory(Struct, frozen=True):
    """How many lives in a row were too short."""

    short_lives: int = 0

    def after_life(self, lived_s: float) -> RestartHistory:
        """The history with one more life that lasted ``lived_s``."""
        return RestartHistory(1 if lived_s >= SETTLED_S else self.short_lives + 1)

    def delay_s(self) -> float | None:
        """How long to wait before the next start; None in a crash loop."""
        if self.short_lives >= CRASH_LOOP_LIMIT:
            return None
        return min(LAST_DELAY_S, FIRST_DELAY_S * 2.0 ** max(0, self.short_lives - 1))
