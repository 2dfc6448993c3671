"""Judges the robot by rule files as the hub does: the same rules, samples and code (docs/adr/0022).

What it sends to the hub is what it judges, frame by frame, in a thread. Only rules that may take a model
back are judged here: the critical ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.rules.reading import read_apart
from edge_bridge.rules.settings import RuleSettings
from fleetward.bus.logs import log
from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.ids import AlertName, RobotId
from fleetward.contracts.telemetry import TelemetryFrame
from fleetward.rules.evaluate import RobotJudge
from fleetward.rules.samples import decode_samples

_logger = logging.getLogger(__name__)

NANOSECONDS = 1_000_000_000
MAX_WAITING_FRAMES = 256
"""Frames that were not judged yet; the oldest are forgotten, as the hub forgets those that it never got."""


class LocalRules:
    """``on_alert`` hears on the event loop what begins to fire on this robot, and what no longer does."""

    def __init__(
        self,
        robot_id: RobotId,
        settings: RuleSettings,
        on_alert: Callable[[AlertEvent], None],
    ) -> None:
        self._robot_id = robot_id
        self._settings = settings
        self._on_alert = on_alert
        self._frames: deque[TelemetryFrame] = deque(maxlen=MAX_WAITING_FRAMES)
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._not_judged: set[AlertName] = set()

    def sampled(self, frame: TelemetryFrame) -> None:
        """A frame of samples, in the order in which they are measured."""
        self._frames.append(frame)
        self._idle.clear()
        self._arrived.set()

    async def judged_all(self) -> None:
        """Until every frame that was given is judged."""
        await self._idle.wait()

    async def run(self) -> None:
        """Judge until cancelled. Rules that cannot be read or judged cost the rules, not the robot."""
        try:
            judge = await self._made()
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._frames:
                    events = await asyncio.to_thread(judged, judge, self._frames.popleft())
                    self._tell(events)
                    self._tell_not_judged(judge)
                self._idle.set()
        except Exception as problem:  # noqa: BLE001 (a rule must not take the robot along)
            log(_logger, "rules.off", level=logging.ERROR, reason=str(problem) or repr(problem))
            self._frames = deque(maxlen=0)

    async def _made(self) -> RobotJudge:
        rulebook = await read_apart(self._settings.path)
        log(_logger, "rules.on", rules=[rule.alert for rule in rulebook.rules])
        lookback_ns = int(self._settings.lookback_s * NANOSECONDS)
        return RobotJudge(self._robot_id, self._settings.labels, rulebook, lookback_ns, {})

    def _tell(self, events: Sequence[AlertEvent]) -> None:
        for event in events:
            name = "rules.fired" if isinstance(event, AlertFired) else "rules.resolved"
            log(_logger, name, level=logging.WARNING, alert=event.alert)
            self._on_alert(event)

    def _tell_not_judged(self, judge: RobotJudge) -> None:
        """Once for each rule, not for each frame."""
        for alert, reason in judge.failures.items():
            if alert not in self._not_judged:
                self._not_judged.add(alert)
                log(_logger, "rules.not_judged", level=logging.ERROR, alert=alert, reason=reason)


def judged(judge: RobotJudge, frame: TelemetryFrame) -> list[AlertEvent]:
    """What a frame's samples begin, or end."""
    return [announced.event for announced in judge.take(decode_samples(frame))]
