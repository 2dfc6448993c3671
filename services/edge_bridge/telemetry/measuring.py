"""Turns what happens on the robot into samples, cuts them into frames and spools them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from edge_bridge.disk_thread import DiskThread
from edge_bridge.link import Link
from edge_bridge.pipelines import Pipelines
from edge_bridge.settings import Settings
from edge_bridge.shipping.standing import Standing
from edge_bridge.telemetry.columns import Recorder
from edge_bridge.telemetry.sending import FrameSender
from edge_bridge.telemetry.spool import Spool, SpoolError
from edge_bridge.telemetry.vitals import ControlLoopProbe, Vitals
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.logs import log
from fleetward.bus.waiting import happens, tick
from fleetward.contracts import signals
from fleetward.contracts.ids import ModelName
from fleetward.contracts.telemetry import (
    DIGEST_ATTRIBUTE,
    KIND_ATTRIBUTE,
    MODEL_ATTRIBUTE,
    TelemetryFrame,
)

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
        pipelines: Pipelines,
        disk: DiskThread,
        *,
        on_samples: Callable[[TelemetryFrame], None],
        on_turn: Callable[[float], None] | None,
        standings: Callable[[], Iterable[Standing]],
    ) -> None:
        """``on_samples`` sees every frame of samples, and must not block.

        ``standings``: of the recordings that leave the robot. ``on_turn`` hears of each turn of the probe at
        once, where anybody waits for it.
        """
        self._on_samples = on_samples
        self._standings = standings
        self._settings = settings
        self._recorder = recorder
        self._spool = spool
        self._disk = disk
        self._sender = sender
        self._link = link
        self._pipelines = pipelines
        self._slots = pipelines.own.slots
        self._worth_a_frame = asyncio.Event()
        """There was a result, or a reading of the vitals, since the last frame of samples."""
        self._vitals = Vitals(settings.state_dir, settings.host_root)
        self._probe: ControlLoopProbe | None = None
        if settings.control_probe_hz > 0:
            self._probe = ControlLoopProbe(
                recorder.record, settings.control_probe_hz, on_turn=on_turn
            )

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
        attributes = _of_pipeline(done.pipeline)
        self._recorder.record(signals.PERCEPTION_DURATION.name, done.perception_s, attributes)
        self.shadowed(done)

    def shadowed(self, done: InferenceDone) -> None:
        """The same of an inference that nobody gets: what it says of the model, and nothing else."""
        self._worth_a_frame.set()
        of_model = {DIGEST_ATTRIBUTE: done.digest, **_of_pipeline(done.pipeline)}
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
        numbered = self._settings.uplink.frames_in_flight  # a long outage's frames may be thinned
        while True:
            await self._due()
            if self._probe is not None:
                self._probe.tell()
            frame = self._recorder.cut()
            if frame is None:
                continue
            self._on_samples(frame)
            stored = self._sender.to_forget
            try:
                thinned = await self._disk.run(self._spool.append, frame, numbered, stored)
            except SpoolError as problem:
                log(_logger, "telemetry.lost", level=logging.ERROR, reason=str(problem))
                continue
            if thinned:
                log(_logger, "telemetry.thinned", level=logging.WARNING, frames=thinned)
            self._sender.forgot(stored)
            self._sender.spooled()

    async def _due(self) -> None:
        """Until a frame is worth what it costs."""
        limits = self._settings.frames
        await asyncio.sleep(limits.period_s)
        if self._sender.is_behind and self._recorder.waiting < limits.max_samples // 4:
            await asyncio.sleep(limits.rest_period_s - limits.period_s)
        elif self._recorder.waiting < limits.rest_samples:
            await happens(self._worth_a_frame, limits.rest_period_s)  # the vitals come before
        self._worth_a_frame.clear()

    async def _measure_vitals(self) -> None:
        before_s, captured_before = time.monotonic(), self._slots.ledger.frames_captured
        while True:
            await tick(self._settings.vitals_s)
            now_s, captured = time.monotonic(), self._slots.ledger.frames_captured
            rate_hz = (captured - captured_before) / (now_s - before_s)
            before_s, captured_before = now_s, captured
            await asyncio.to_thread(self._vitals.read, self._recorder.record)
            self._record_sensor(rate_hz)
            self._record_buffer()
            self._record_pipelines()
            self._record_recordings()
            self._worth_a_frame.set()

    def _record_sensor(self, rate_hz: float) -> None:
        record = self._recorder.record
        record(signals.SENSOR_RATE_TARGET.name, self._settings.frame_rate_hz)
        record(signals.LINK_RECONNECTS.name, float(self._link.reconnects))
        if self._slots.active is not None:  # the ledger begins with the first model
            record(signals.SENSOR_RATE.name, rate_hz)

    def _record_pipelines(self) -> None:
        record = self._recorder.record
        for pipeline in self._pipelines:
            of_pipeline = _of_pipeline(pipeline.name)
            dropped = pipeline.slots.ledger.frames_dropped
            record(signals.SENSOR_DROPPED.name, float(dropped), of_pipeline)
            if pipeline.limited:
                paused = 1.0 if pipeline.brake.paused else 0.0
                record(signals.PREPARATION_PAUSED.name, paused, of_pipeline)

    def _record_recordings(self) -> None:
        record = self._recorder.record
        for standing in self._standings():
            of_kind = {KIND_ATTRIBUTE: standing.kind}
            record(signals.RECORDING_LOST.name, float(standing.lost_messages), of_kind)
            record(signals.RECORDING_OUTBOX.name, float(standing.waiting_bytes), of_kind)
            record(signals.RECORDING_OUTBOX_UTILIZATION.name, standing.utilization, of_kind)

    def _record_buffer(self) -> None:
        oldest_ns = self._spool.waiting_since_ns
        age_s = 0.0 if oldest_ns is None else max(0.0, (time.time_ns() - oldest_ns) / 1e9)
        self._recorder.record(signals.BUFFER_OLDEST_AGE.name, age_s)

    async def _measure_round_trip(self) -> None:
        while True:
            await self._link.connected()
            round_trip_s = await self._link.round_trip_s()
            if round_trip_s is not None:
                self._recorder.record(signals.CLOUD_ROUND_TRIP.name, round_trip_s)
            await tick(self._settings.round_trip_s)


def _of_pipeline(name: ModelName | None) -> dict[str, str]:
    """What tells its samples from those of the robot's own pipeline."""
    return {} if name is None else {MODEL_ATTRIBUTE: name}
