"""Judges the robot by rules as the hub does: the same rules, samples and code (docs/adr/0022).

What it sends to the hub is what it judges, frame by frame, in a thread. Only rules that may take a model
back are judged here: the critical ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping

from edge_bridge.converging.accusations import AlertEvent
from fleetward.bus.logs import log
from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.ids import AlertName, RobotId
from fleetward.contracts.telemetry import TelemetryFrame
from fleetward.rules.evaluate import RobotJudge
from fleetward.rules.incidents import Announcement
from fleetward.rules.rulebook import Rulebook
from fleetward.rules.samples import decode_samples

_logger = logging.getLogger(__name__)

NANOSECONDS = 1_000_000_000
MAX_WAITING_FRAMES = 256
"""Frames that were not judged yet; the oldest are forgotten, as the hub forgets those that it never got."""


class LocalRules:
    """``on_alert`` hears on the event loop what begins to fire on this robot, and what no longer does.

    labels: the robot's, as they are now.
    """

    def __init__(
        self,
        robot_id: RobotId,
        labels: Callable[[], Mapping[str, str]],
        on_alert: Callable[[AlertEvent], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._on_alert = on_alert
        self._on_failed = on_failed
        self._labels = labels
        self._judge = RobotJudge(robot_id, labels(), Rulebook(), 0, {})
        self._next: tuple[Rulebook, int] | None = None
        self._frames: deque[TelemetryFrame] = deque(maxlen=MAX_WAITING_FRAMES)
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._not_judged: set[AlertName] = set()

    def use(self, rulebook: Rulebook, lookback_s: float) -> None:
        """Judge by these from the next frame on; what fires by a rule that stays goes on to."""
        self._next = rulebook, int(lookback_s * NANOSECONDS)
        self._arrived.set()

    def sampled(self, frame: TelemetryFrame) -> None:
        """A frame of samples, in the order in which they are measured."""
        self._frames.append(frame)
        self._idle.clear()
        self._arrived.set()

    async def judged_all(self) -> None:
        """Until every frame that was given is judged."""
        await self._idle.wait()

    async def run(self) -> None:
        """Judge until cancelled. Rules that cannot be judged cost the rules, not the robot."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            self._change()
            try:
                await self._judge_waiting()
            except Exception as problem:  # noqa: BLE001 (a rule must not take the robot along)
                reason = str(problem) or repr(problem)
                log(_logger, "rules.off", level=logging.ERROR, reason=reason)
                self.use(Rulebook(), 0)
                self._on_failed(reason)
            self._idle.set()

    async def _judge_waiting(self) -> None:
        while self._frames:
            self._tell(await asyncio.to_thread(judged, self._judge, self._frames.popleft()))
            self._tell_not_judged()
            self._change()

    def _change(self) -> None:
        if self._next is not None:
            (rulebook, lookback_ns), self._next = self._next, None
            self._judge, ended = self._judge.followed(rulebook, lookback_ns)
            self._not_judged.clear()
            self._tell(ended)
            log(_logger, "rules.on", rules=[rule.alert for rule in rulebook.rules])
        labels = self._labels()
        if labels != self._judge.labels:
            self._judge.relabel(labels)

    def _tell(self, announcements: Iterable[Announcement]) -> None:
        for event in (announced.event for announced in announcements):
            name = "rules.fired" if isinstance(event, AlertFired) else "rules.resolved"
            log(_logger, name, level=logging.WARNING, alert=event.alert)
            self._on_alert(event)

    def _tell_not_judged(self) -> None:
        """Once for each rule, not for each frame."""
        for alert, reason in self._judge.failures.items():
            if alert not in self._not_judged:
                self._not_judged.add(alert)
                log(_logger, "rules.not_judged", level=logging.ERROR, alert=alert, reason=reason)


def judged(judge: RobotJudge, frame: TelemetryFrame) -> tuple[Announcement, ...]:
    """What a frame's samples begin, or end."""
    return judge.take(decode_samples(frame))
