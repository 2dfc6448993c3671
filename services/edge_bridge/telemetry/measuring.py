"""Turns what happens on the robot into samples, cuts them into frames and spools them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from edge_bridge.disturbance.brake import Brake
from edge_bridge.link import Link
from edge_bridge.settings import Settings
from edge_bridge.telemetry.columns import Recorder
from edge_bridge.telemetry.machine import Record
from edge_bridge.telemetry.sending import FrameSender
from edge_bridge.telemetry.spool import Spool, SpoolError
from edge_bridge.telemetry.vitals import ControlLoopProbe, Vitals
from edge_bridge.workers.slots import InferenceDone, Slots
from fleetward.bus.logs import log
from fleetward.contracts import signals
from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE, TelemetryFrame

_logger = logging.getLogger(__name__)


class Measuring:
    """Everything that is measured without being asked for."""

    def __init__(
        self,
        settings: Settings,
        recorder: Recorder,
        spool: Spool,
        sender: FrameSender,
        link: Link,
        slots: Slots,
        brake: Brake,
        *,
        on_samples: Callable[[TelemetryFrame], None],
        on_turn: Record,
    ) -> None:
        """``on_samples`` sees every frame of samples, and must not block.

        ``on_turn`` takes what the probe measures, as it takes what the robot's own loop reports.
        """
        self._on_samples = on_samples
        self._settings = settings
        self._recorder = recorder
        self._spool = spool
        self._sender = sender
        self._link = link
        self._slots = slots
        self._brake = brake
        self._vitals = Vitals(settings.state_dir, settings.host_root)
        self._probe: ControlLoopProbe | None = None
        if settings.control_probe_hz > 0:
            self._probe = ControlLoopProbe(on_turn, settings.control_probe_hz)

    def start(self) -> None:
        """Start the control loop probe, where there is one."""
        if self._probe is not None:
            self._probe.start()

    def stop(self) -> None:
        """Stop it."""
        if self._probe is not None:
            self._probe.stop()

    def parts(self) -> dict[str, Coroutine[Any, Any, None]]:
        """What runs beside the rest of the bridge, by name."""
        return {
            "telemetry": self._spool_frames(),
            "vitals": self._measure_vitals(),
            "round-trip": self._measure_round_trip(),
        }

    def inferred(self, done: InferenceDone) -> None:
        """Samples of one inference, with the digest of the model that made it."""
        self._recorder.record(signals.PERCEPTION_DURATION.name, done.perception_s)
        self.shadowed(done)

    def shadowed(self, done: InferenceDone) -> None:
        """The same of an inference that nobody gets: what it says of the model, and nothing else."""
        of_model = {DIGEST_ATTRIBUTE: done.digest}
        record = self._recorder.record
        if done.error is not None:
            record(signals.INFERENCE_ERRORS.name, 1.0, of_model)
            return
        record(signals.INFERENCE_DURATION.name, done.latency_s, of_model)
        if done.confidence is not None:
            record(signals.INFERENCE_CONFIDENCE.name, done.confidence, of_model)
        means = (output.mean for output in done.outputs_summary.values())
        first = next((mean for mean in means if mean is not None), None)
        if first is not None:
            record(signals.OUTPUT_MEAN.name, first, of_model)

    async def _spool_frames(self) -> None:
        while True:
            await asyncio.sleep(self._settings.frames.period_s)
            frame = self._recorder.cut()
            if frame is None:
                continue
            self._on_samples(frame)
            try:
                thinned = await asyncio.to_thread(self._spool.append, frame)
            except SpoolError as problem:
                log(_logger, "telemetry.lost", level=logging.ERROR, reason=str(problem))
                continue
            if thinned:
                log(_logger, "telemetry.thinned", level=logging.WARNING, frames=thinned)
            self._sender.spooled()

    async def _measure_vitals(self) -> None:
        before_s, captured_before = time.monotonic(), self._slots.ledger.frames_captured
        while True:
            await asyncio.sleep(self._settings.vitals_s)
            now_s, captured = time.monotonic(), self._slots.ledger.frames_captured
            rate_hz = (captured - captured_before) / (now_s - before_s)
            before_s, captured_before = now_s, captured
            await asyncio.to_thread(self._vitals.read, self._recorder.record)
            self._record_sensor(rate_hz)
            self._record_buffer()
            if self._brake.limited:
                paused = 1.0 if self._brake.paused else 0.0
                self._recorder.record(signals.PREPARATION_PAUSED.name, paused)

    def _record_sensor(self, rate_hz: float) -> None:
        record, ledger = self._recorder.record, self._slots.ledger
        record(signals.SENSOR_RATE_TARGET.name, self._settings.frame_rate_hz)
        record(signals.SENSOR_DROPPED.name, float(ledger.frames_dropped))
        record(signals.LINK_RECONNECTS.name, float(self._link.reconnects))
        if self._slots.active is not None:  # the ledger begins with the first model
            record(signals.SENSOR_RATE.name, rate_hz)

    def _record_buffer(self) -> None:
        try:
            oldest_ns = self._spool.oldest_started_at_ns()
        except SpoolError as problem:
            log(_logger, "spool.unread", level=logging.ERROR, reason=str(problem))
            return
        age_s = 0.0 if oldest_ns is None else max(0.0, (time.time_ns() - oldest_ns) / 1e9)
        self._recorder.record(signals.BUFFER_OLDEST_AGE.name, age_s)

    async def _measure_round_trip(self) -> None:
        while True:
            round_trip_s = await self._link.round_trip_s()
            if round_trip_s is not None:
                self._recorder.record(signals.CLOUD_ROUND_TRIP.name, round_trip_s)
            await asyncio.sleep(self._settings.round_trip_s)
