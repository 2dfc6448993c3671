"""Who sees what passes through a bridge and never holds it up: flight recorder, live viewers, local rules."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from edge_bridge.converging.accusations import AlertEvent
from edge_bridge.converging.trust import Trust
from edge_bridge.foxglove.view import FoxgloveView
from edge_bridge.frames import Frame, FrameSink, FrameType
from edge_bridge.link import Link
from edge_bridge.recorder.black_box import BlackBox
from edge_bridge.rules.robot_rules import RobotRules
from edge_bridge.settings import Settings
from edge_bridge.sources.source import Source
from edge_bridge.workers.inference_done import InferenceDone
from edge_bridge.workers.pump import Loan
from fleetward.contracts.event import Event
from fleetward.contracts.rule_sets import RulesStanding
from fleetward.contracts.telemetry import TelemetryFrame


class Onlookers:
    """Each of them is told everything. On the event loop."""

    def __init__(self, black_box: BlackBox, settings: Settings) -> None:
        """Raises NoFoxgloveError."""
        self._black_box = black_box
        self._on_alert: Callable[[AlertEvent], None] = lambda _: None
        self._rules: RobotRules | None = None
        if settings.rules is not None:
            self._rules = RobotRules(
                settings.robot_id, settings.rules, settings.state_dir, self._alerted
            )
        self._view: FoxgloveView | None = None
        if settings.foxglove is not None:
            self._view = FoxgloveView(settings.foxglove, settings.robot_id)

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        parts = self._black_box.parts()
        if self._view is not None:
            parts["foxglove"] = self._view.run()
        if self._rules is not None:
            parts |= self._rules.parts()
        return parts

    def connect(self, link: Link, trust: Trust, on_alert: Callable[[AlertEvent], None]) -> None:
        """Where the hub's rules come from and whose word counts; ``on_alert`` hears what rules say."""
        self._on_alert = on_alert
        if self._rules is not None:
            self._rules.connect(link, trust)

    @property
    def records(self) -> bool:
        """Whether the flight recorder is on."""
        return self._black_box.records

    @property
    def rules(self) -> RulesStanding | None:
        """By which rules the robot judges itself; None: by none, as it was told."""
        return self._rules.standing if self._rules is not None else None

    def watched(self, source: Source) -> Source:
        """``source``, with its frames seen."""
        source = self._black_box.watched(source)
        return source if self._view is None else _Watched(source, self._view)

    def lent(self, loan: Loan | None, shape: tuple[int, ...], dtype: FrameType) -> Loan | None:
        """``loan``, whose frame is seen as one of a source is."""
        loan = self._black_box.lent(loan, shape, dtype)
        view = self._view
        if loan is None or view is None or not view.watches_frames:
            return loan
        lent = loan

        def given() -> int:
            number = lent.give()
            view.passed(number, lent.memory, shape, dtype)  # nobody writes there in this turn
            return number

        return Loan(lent.memory, given, lent.return_it, lent.begin)

    def inferred(self, done: InferenceDone) -> None:
        """A result."""
        self._black_box.inferred(done)
        if self._view is not None:
            self._view.inferred(done)

    def reported(self, event: Event) -> None:
        """A fact that the robot reports."""
        self._black_box.reported(event)
        if self._view is not None:
            self._view.reported(event)

    def sampled(self, frame: TelemetryFrame) -> None:
        """A frame of samples."""
        self._black_box.sampled(frame)
        if self._view is not None:
            self._view.sampled(frame)
        if self._rules is not None:
            self._rules.sampled(frame)

    def _alerted(self, event: AlertEvent) -> None:
        self.reported(event)
        self._on_alert(event)


class _Watched:
    """A source whose frames viewers see as they pass."""

    def __init__(self, source: Source, view: FoxgloveView) -> None:
        self._source = source
        self._view = view

    async def run(self, sink: FrameSink) -> None:
        def taken(frame: Frame) -> int | None:
            number = sink(frame)
            if self._view.watches_frames:
                self._view.passed(number, frame.content, frame.shape, frame.dtype)
            return number

        await self._source.run(taken)
