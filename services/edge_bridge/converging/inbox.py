"""The newest target that was offered, until it is taken; a newer one interrupts what is under way."""

from __future__ import annotations

import asyncio
import logging

from edge_bridge.converging.converge import accept, refusal_reason
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.targets import Offered
from fleetward.bus.logs import log
from fleetward.contracts.ids import RobotId

_logger = logging.getLogger(__name__)


class Inbox:
    """Of whoever converges on targets. changed: there may be something to do. superseded: before all else."""

    def __init__(self, robot_id: RobotId, remembered: Remembered) -> None:
        self.changed = asyncio.Event()
        self.superseded = asyncio.Event()
        self._robot_id = robot_id
        self._remembered = remembered
        self._offered: Offered | None = None

    def offer(self, offered: Offered) -> None:
        """A signed target was read; an older or foreign one is refused here."""
        reason = self._refusal(offered)
        if reason is not None:
            log(_logger, "target.refused", level=logging.WARNING, reason=reason)
            return
        self._offered = offered
        if offered.target.generation > self._remembered.memory.generation:
            self.superseded.set()
        self.changed.set()

    def interrupt(self) -> None:
        """Something is known that comes before whatever is under way: a newer list of withdrawn digests."""
        self.superseded.set()
        self.changed.set()

    async def take(self) -> None:
        """Remember what was offered, unless something since then refuses it; raises JournalError."""
        offered = self._offered
        if offered is not None and self._refusal(offered) is None:
            await self._remembered.change(
                lambda memory: accept(memory, offered.target, offered.traceparent, offered.key_id)
            )
        if self._offered is offered:
            self._offered = None
            self.superseded.clear()

    def _refusal(self, offered: Offered) -> str | None:
        return refusal_reason(self._robot_id, offered.target, self._remembered.memory)
