"""What happens on a robot by itself is written down beside whatever step is under way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timezone

from edge_bridge.converging import converge, outcome
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.targets import Distrusted
from edge_bridge.journal import JournalError
from edge_bridge.workers.slots import FellBack
from fleetward.bus.logs import log
from fleetward.bus.tracing import span
from fleetward.contracts.robots import ActivationStage

_logger = logging.getLogger(__name__)


class Unasked:
    """Falls back to the model before, and targets that are not believed, in the order they came."""

    def __init__(
        self,
        steps: Steps,
        remembered: Remembered,
        *,
        retry_wait_s: float,
        on_returned: Callable[[], None],
    ) -> None:
        self._steps = steps
        self._remembered = remembered
        self._retry_wait_s = retry_wait_s
        self._on_returned = on_returned
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
        if isinstance(happened, Distrusted):
            report = outcome.failed(
                happened.claimed, ActivationStage.TARGET, happened.reason, _now()
            )
            await self._remembered.change(lambda memory: memory, [report])
            return
        memory, serving = self._remembered.memory, self._steps.slots.active
        log(_logger, "bridge.fell_back", level=logging.WARNING, reason=happened.reason)
        if serving is None or not converge.is_own(memory, happened.from_digest):
            return
        placed, left = converge.Placed(serving.model, serving.digest), memory.activated
        facts = [outcome.fell_back(left, happened, _now())] if left else []
        with span(
            "bridge.fall_back",
            memory.traceparent,
            robot_id=self._steps.robot_id,
            digest=serving.digest,
        ):
            await self._remembered.change(lambda now: converge.return_to(now, placed), facts)
        self._on_returned()


def _now() -> datetime:
    return datetime.now(timezone.utc)
