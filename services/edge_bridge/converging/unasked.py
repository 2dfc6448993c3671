"""What happens on a robot by itself is written down beside whatever step is under way."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timezone

from edge_bridge.converging import outcome
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.targets import Distrusted
from edge_bridge.converging.together import Member, Together
from edge_bridge.journal import JournalError
from edge_bridge.workers.slots import FellBack
from fleetward.bus.logs import log
from fleetward.bus.tracing import span
from fleetward.contracts.robots import ActivationStage

_logger = logging.getLogger(__name__)


class Unasked:
    """Falls back to the model before, and targets that are not believed, in the order they came."""

    def __init__(
        self, steps: Steps, member: Member, together: Together, *, retry_wait_s: float
    ) -> None:
        self._steps = steps
        self._member = member
        self._together = together
        self._retry_wait_s = retry_wait_s
        self._happened: asyncio.Queue[FellBack | Distrusted] = asyncio.Queue()

    def put(self, happened: FellBack | Distrusted) -> None:
        """It happened just now."""
        self._happened.put_nowait(happened)

    async def run(self) -> None:
        """Write down for ever; a disk that cannot keep it is asked again."""
        while True:
            happened = await self._happened.get()
            while True:
                try:
                    await self._write_down(happened)
                    break
                except JournalError as problem:
                    log(_logger, "report.unwritten", level=logging.ERROR, reason=str(problem))
                    await asyncio.sleep(self._retry_wait_s)

    async def _write_down(self, happened: FellBack | Distrusted) -> None:
        remembered = self._member.remembered
        if isinstance(happened, Distrusted):
            claimed, reason = happened.claimed, happened.reason
            now = datetime.now(timezone.utc)
            report = outcome.failed(claimed, ActivationStage.TARGET, reason, now)
            await remembered.change(lambda memory: memory, [report])
            return
        with span(
            "bridge.fall_back",
            remembered.memory.traceparent,
            robot_id=self._steps.robot_id,
            digest=happened.to_digest,
        ):
            await self._together.write_fall(self._member)
