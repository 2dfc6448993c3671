"""What a robot is doing towards its target, and what holds it up: said once, to the log and to people."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge_bridge.converging.actions import Action
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)


class UnderWay:
    """``on_change``: ``held_back`` is another now. ``what`` goes there, as logs name it."""

    def __init__(self, on_change: Callable[[], None], what: str = "bridge") -> None:
        self._what = what
        self.held_back = ""
        """Why the robot does not go on although it could, as of the newest look."""
        self._on_change = on_change
        self._last_step: tuple[str, int, str] | None = None

    def begins(self, action: Action, generation: int, held_back: str) -> None:
        """The next step, and what the robot waits for when it waits."""
        step = (type(action).__name__.lower(), generation, held_back)
        if step != self._last_step:
            self._last_step = step
            log(_logger, f"{self._what}.{step[0]}", generation=generation, held_back=held_back)
        self.holds_back(held_back)

    def holds_back(self, reason: str) -> None:
        """Nothing does when ``reason`` is empty."""
        if reason != self.held_back:
            self.held_back = reason
            self._on_change()
