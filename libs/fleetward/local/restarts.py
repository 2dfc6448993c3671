"""When to start a process again that ended: soon, later, or not at all.

What served once is not given up for a bad minute: a full disk, a taken port or a hub that is away
passes. So a process that was ready keeps being started, ever later, as long as it gets ready now
and then; one that never does any more is given up after HOPELESS_AFTER_S. One that was not ready
even once has no such credit, as somebody waits for the start and can read its log.
"""

from __future__ import annotations

from msgspec import Struct

FIRST_DELAY_S = 0.1
LAST_DELAY_S = 30.0
MAX_DOUBLINGS = 30
"""Far past LAST_DELAY_S: a thousand would be no number any more."""
SETTLED_S = 10.0
"""A process that was ready and ran this long was well; what ended it is taken as news."""
FIRST_START_LIVES = 6
FIRST_START_S = 120.0
"""A process that was never ready is given up after so many lives, or after so long."""
HOPELESS_AFTER_S = 600.0
"""A process that was ready once is given up when it ended before it was ready for so long."""


class Life(Struct, frozen=True, kw_only=True):
    """One start of a process to its end."""

    exit: str
    was_ready: bool
    lasted_s: float


class RestartHistory(Struct, frozen=True, kw_only=True):
    """How the lives in a row went that ended too soon.

    unready_lives, unready_for_s: the last lives that all ended before they were ready, and how
    long they took, the waiting between them included.
    """

    short_lives: int = 0
    unready_lives: int = 0
    unready_for_s: float = 0.0
    was_ever_ready: bool = False

    def after_life(self, life: Life) -> RestartHistory:
        """The history with one more life."""
        settled = life.was_ready and life.lasted_s >= SETTLED_S
        waited_s = self.delay_s() if self.unready_lives else 0.0
        return RestartHistory(
            short_lives=1 if settled else self.short_lives + 1,
            unready_lives=0 if life.was_ready else self.unready_lives + 1,
            unready_for_s=(
                0.0 if life.was_ready else self.unready_for_s + waited_s + life.lasted_s
            ),
            was_ever_ready=self.was_ever_ready or life.was_ready,
        )

    def is_hopeless(self) -> bool:
        """Whether it is started no more."""
        if self.was_ever_ready:
            return self.unready_for_s >= HOPELESS_AFTER_S
        return self.unready_lives >= FIRST_START_LIVES or self.unready_for_s >= FIRST_START_S

    def delay_s(self) -> float:
        """How long to wait before the next start."""
        doublings = min(max(0, self.short_lives - 1), MAX_DOUBLINGS)
        return min(LAST_DELAY_S, FIRST_DELAY_S * 2.0**doublings)
