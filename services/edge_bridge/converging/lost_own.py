"""A robot none of whose own models starts opens its target again, once its disk keeps a word of that."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge_bridge.converging import actions, converge
from edge_bridge.converging.actions import Action
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.steps import Steps
from edge_bridge.journal import JournalError
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)


class LostOwn:
    """Of one pipeline. ``is_lost``: none of its own models started, and its disk does not know yet."""

    def __init__(
        self, remembered: Remembered, steps: Steps, next_action: Callable[[], Action]
    ) -> None:
        self.is_lost = False
        self._remembered = remembered
        self._steps = steps
        self._next_action = next_action

    async def forget(self) -> None:
        """What does not start is fetched again, unless something serves by now.

        Raises JournalError where there is nothing else to go on with meanwhile.
        """
        if self.is_lost and self._steps.slots.active is None:
            try:
                await self._remembered.change(converge.forget_own)
            except JournalError as problem:
                if isinstance(self._next_action(), actions.Rest):
                    raise
                log(_logger, "bridge.not_forgotten", level=logging.WARNING, reason=str(problem))
                return
        self.is_lost = False
