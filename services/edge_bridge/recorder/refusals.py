"""Who asked for a recording that will not come hears why, and does not wait for it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone

from fleetward.bus.logs import log
from fleetward.contracts.ids import RecordingId, RobotId
from fleetward.contracts.recordings import REFUSALS_TOLD, RecordingRefusal, RecordingsRefused

_logger = logging.getLogger(__name__)


class Refusals:
    """The newest of a robot, told each time there is one more."""

    def __init__(
        self, robot_id: RobotId, report: Callable[[RecordingsRefused], Awaitable[None]]
    ) -> None:
        self._robot_id = robot_id
        self._report = report
        self._newest: deque[RecordingRefusal] = deque(maxlen=REFUSALS_TOLD)

    async def tell(self, recording_id: RecordingId, reason: str) -> None:
        """Raises what ``report`` raises."""
        log(
            _logger,
            "recording.refused",
            level=logging.WARNING,
            recording_id=recording_id,
            reason=reason,
        )
        self._newest.append(RecordingRefusal(recording_id=recording_id, reason=reason))
        await self._report(
            RecordingsRefused(
                robot_id=self._robot_id,
                refusals=tuple(self._newest),
                refused_at=datetime.now(timezone.utc),
            )
        )
