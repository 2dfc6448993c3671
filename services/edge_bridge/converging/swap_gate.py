"""Whether the target's model may serve at this very instant: its hour has come and its interlocks hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timezone

from edge_bridge.facts import Facts
from edge_bridge.hub_clock import HubClock, reading, until_s
from fleetward.bus.waiting import happens
from fleetward.contracts.robots import RobotTarget

LOOK_S = 0.25
"""How often what must hold is looked at while a robot waits for it."""


class SwapGate:
    """Judged anew each time it is asked: nothing that held a moment ago is believed now."""

    def __init__(self, clock: Callable[[], HubClock], facts: Facts) -> None:
        self._clock = clock
        self._facts = facts
        self._stirred = asyncio.Event()

    def is_open(self, target: RobotTarget) -> bool:
        """Whether a swap to the target's model may happen now."""
        left_s = self._left_s(target)
        return (
            left_s is not None and left_s <= 0 and not self._facts.reason_against(target.interlocks)
        )

    def held_back(self, target: RobotTarget) -> str:
        """Why a robot that could swap does not; empty before the agreed instant, and when it may."""
        left_s = self._left_s(target)
        if left_s is None:
            return "it does not know the hub's time yet: the registry has not answered"
        return "" if left_s > 0 else self._facts.reason_against(target.interlocks)

    def knows_the_time(self, target: RobotTarget) -> bool:
        """False when the target names an instant and the hub's clock was never heard."""
        return self._left_s(target) is not None

    def late_s(self, target: RobotTarget) -> float | None:
        """How long ago the agreed instant was; None where none was agreed."""
        left_s = self._left_s(target)
        return -left_s if left_s is not None and target.switch_at is not None else None

    def clock_offset_s(self) -> float | None:
        """The hub's clock minus this machine's; None before it was measured."""
        read = reading(self._clock(), boot_time_s())
        here = datetime.fromtimestamp(time.time(), timezone.utc)
        return (read.hub_now - here).total_seconds() if read is not None else None

    def stir(self) -> None:
        """Something happened that ends the wait."""
        self._stirred.set()

    async def news(self, target: RobotTarget) -> None:
        """Until the target's instant, until something stirs, or for at most ``LOOK_S``."""
        self._stirred.clear()
        left_s = self._left_s(target)
        wait_s = LOOK_S if left_s is None or left_s <= 0 else min(left_s, LOOK_S)
        await happens(self._stirred, wait_s)

    def _left_s(self, target: RobotTarget) -> float | None:
        if target.switch_at is None:
            return 0.0
        return until_s(self._clock(), target.switch_at, boot_time_s())


def boot_time_s() -> float:
    """Seconds since the machine started, asleep or not: no wrong clock and no correction moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
