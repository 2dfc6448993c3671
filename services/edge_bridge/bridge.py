"""The bridge a robot's own process can hold: models arrive, serve and are reported by themselves.

async with Bridge(settings, source=camera) as bridge:
    bridge.record("robot.control_loop.duration", turn_s)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from secrets import token_hex
from typing import Any

from edge_bridge.check_in import Speaker
from edge_bridge.disturbance.work import Work
from edge_bridge.facts import Facts
from edge_bridge.frames import FrameType
from edge_bridge.hub import Hub
from edge_bridge.logs.logbook import Logbook
from edge_bridge.onlookers import Onlookers
from edge_bridge.pipeline import Heard, Pipeline
from edge_bridge.recorder.black_box import BlackBox
from edge_bridge.reporting import CheckIns
from edge_bridge.serving import Serving
from edge_bridge.settings import Settings
from edge_bridge.sources.source import Source
from edge_bridge.state_dir import locked, with_whole_paths
from edge_bridge.telemetry.columns import Recorder
from edge_bridge.telemetry.measuring import Measuring
from edge_bridge.telemetry.sysfs import POWER_SUPPLIES
from edge_bridge.updating.launched import Launched
from edge_bridge.workers.ledger import Ledger
from edge_bridge.workers.pump import Loan
from edge_bridge.workers.slots import InferenceDone, StagedModel
from fleetward.bus.logs import log
from fleetward.contracts.ids import BootId, ModelName
from fleetward.contracts.robots import RobotCheckedIn
from fleetward.contracts.signals import CONTROL_LOOP_DURATION

_logger = logging.getLogger(__name__)


class Bridge:
    """One robot's bridge. Enter it on the event loop; leaving takes 2 s at most, 5 s if it records all the time.

    ``on_result`` is called for every inference, on the event loop, and must not block; of several models,
    ``done.pipeline`` says which. ``sources``: the frames of those that see others than ``source``'s.
    ``black_box`` is the flight recorder: ``bridge.black_box.log("/plan", plan)``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        source: Source,
        on_result: Callable[[InferenceDone], None] | None = None,
        sources: Mapping[ModelName, Source] | None = None,
        launched: Launched | None = None,
    ) -> None:
        settings = with_whole_paths(settings)
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._source = source
        self._sources = sources or {}
        self._on_result = on_result
        self._launched = launched
        self.boot_id = BootId(token_hex(12))
        self._recorder = Recorder(settings.robot_id, self.boot_id, settings.frames)
        supplies = settings.host_root / POWER_SUPPLIES
        self._facts = Facts(settings.facts_path, settings.fact_max_age_s, supplies)
        self.black_box = BlackBox(settings)
        self._onlookers = Onlookers(self.black_box, settings)
        self._logbook = Logbook(settings)
        self._work = Work(settings.disturbance)
        self._tasks: list[asyncio.Task[None]] = []

    def record(
        self, signal: str, value: float, attributes: Mapping[str, str] | None = None
    ) -> None:
        """Report one sample of a signal (``contracts/signals.py``), now; from any thread."""
        self._recorder.record(signal, value, attributes or {})
        if signal == CONTROL_LOOP_DURATION.name:
            self._work.turned(value)

    def report_fact(self, name: str, value: bool | float) -> None:
        """Say what is so now, for interlocks and selectors: ``docked``, ``battery``; from any thread.

        Say it again before it is ``fact_max_age_s`` old: what is older does not count. Raises
        InterlockError for a name that no interlock can have.
        """
        self._facts.report(name, value)

    def pipeline(self, name: ModelName) -> Pipeline:
        """That of one of ``settings.pipelines``; what the bridge says itself is of the robot's own.

        Raises NoPipelineError.
        """
        return self._serving.pipelines[name]

    @property
    def active(self) -> StagedModel | None:
        """The model that serves, None before the first."""
        return self._serving.pipelines.own.active

    @property
    def worker_pids(self) -> dict[str, int]:
        """The live workers' processes by their part, "active", "warm", "staged", "shadow"; for monitors."""
        return self._serving.pipelines.own.worker_pids

    def lend(self, shape: tuple[int, ...], dtype: FrameType = "uint8") -> Loan | None:
        """A place to write the next frame into, so that nobody copies it; None when there is none."""
        return self._onlookers.lent(self._serving.pipelines.own.lend(shape, dtype), shape, dtype)

    @property
    def ledger(self) -> Ledger:
        """How many frames ended how since this bridge started, and what became of each; to be read."""
        return self._serving.pipelines.own.ledger

    @property
    def connected(self) -> bool:
        """Whether the hub can be reached."""
        return self._hub.link.is_up

    async def ready(self) -> None:
        """Until the hub is reached, or for ``ready_offline_after_s``: a robot boots without it."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._hub.link.connected(), self._settings.ready_offline_after_s)

    async def failed(self) -> None:
        """Wait for ever, unless a part of the bridge breaks: then raise what broke it."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    async def __aenter__(self) -> Bridge:
        self._lock = locked(self._settings)
        try:
            self._build()
        except BaseException:
            self._lock.close()
            raise
        for name, part in self._parts().items():
            self._tasks.append(asyncio.get_running_loop().create_task(part, name=name))
        self._measuring.start()
        self.black_box.start()
        log(_logger, "bridge.started", robot_id=self._settings.robot_id, boot_id=self.boot_id)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._measuring.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=self._settings.stop_timeout_s)
        await self._serving.pipelines.close()
        await self._hub.link.close(self._settings.stop_timeout_s / 3)
        await self._serving.web.close()
        await asyncio.gather(self.black_box.stop(), self._logbook.stop())
        self._hub.close()
        self._lock.close()
        log(_logger, "bridge.stopped", robot_id=self._settings.robot_id)

    def _build(self) -> None:
        """The large parts, each with what it needs and nothing else."""
        self.black_box.open()
        self._settings = self._logbook.open()
        self._hub = Hub(
            self._settings, self.boot_id, on_fact=self._onlookers.reported, record=self.record
        )
        self._check_ins = CheckIns(self._hub.reporter, self._check_in, self._settings.check_in_s)
        self._serving = self._made_serving()
        self._speaker = self._made_speaker()
        self._measuring = self._made_measuring()
        self._connect_onlookers()

    def _made_serving(self) -> Serving:
        return Serving(
            self._settings,
            self.boot_id,
            self._hub,
            source=self._onlookers.watched(self._source),
            sources=self._sources,
            facts=self._facts,
            work=self._work,
            launched=self._launched,
            heard=Heard(
                on_result=self._inferred,
                on_shadowed=lambda done: self._measuring.shadowed(done),  # noqa: PLW0108 (made later)
                on_change=self._check_ins.changed,
            ),
        )

    def _made_speaker(self) -> Speaker:
        return Speaker(
            robot_id=self._settings.robot_id,
            boot_id=self.boot_id,
            pipelines=self._serving.pipelines,
            store=self._serving.store,
            trust=self._hub.trust,
            renewing=self._hub.renewing,
            facts=self._facts,
            onlookers=self._onlookers,
            extras=self._settings.extras,
        )

    def _made_measuring(self) -> Measuring:
        hub = self._hub
        return Measuring(
            self._settings,
            self._recorder,
            hub.spool,
            hub.sender,
            hub.link,
            self._serving.pipelines,
            hub.disk,
            on_samples=self._onlookers.sampled,
            on_turn=self._work.turned if self._work.limited else None,
            standings=lambda: [*self.black_box.standings(), *self._logbook.standings()],
        )

    def _connect_onlookers(self) -> None:
        """What watches gets what it sends by, and says what it saw."""
        hub, session, pipelines = self._hub, self._serving.web.session, self._serving.pipelines
        upstream = self._serving.upstream
        self._onlookers.connect(hub.link, hub.trust, pipelines.alerted)
        self._logbook.connect(hub.link, session, upstream, hub.trust)
        serving = lambda: pipelines.own.active  # noqa: E731 (asked later)
        self.black_box.connect(hub.link, session, upstream, hub.trust, serving, hub.reporter)

    def _parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        return {
            **self._hub.parts(),
            **self._serving.parts(),
            "check-ins": self._check_ins.run(),
            **self._measuring.parts(),
            **self._onlookers.parts(),
            **self._logbook.parts(),
        }

    def _check_in(self, sequence: int) -> RobotCheckedIn:
        return self._speaker.check_in(sequence)

    def _inferred(self, done: InferenceDone) -> None:
        self._measuring.inferred(done)
        self._onlookers.inferred(done)
        if self._on_result is not None:
            self._on_result(done)
