"""The signals robots report, by OpenTelemetry name and unit, and the latency budgets they face."""

from __future__ import annotations

from msgspec import Struct


class Signal(Struct, frozen=True):
    """A signal's name, UCUM unit, family and meaning."""

    name: str
    unit: str
    family: str
    meaning: str

    @property
    def metric(self) -> str:
        """The Prometheus name: dots become underscores, the unit becomes a suffix."""
        suffix = {"s": "_seconds", "By": "_bytes", "Cel": "_celsius", "W": "_watts"}.get(
            self.unit, ""
        )
        return self.name.replace(".", "_") + suffix


INFERENCE_DURATION = Signal(
    "model.inference.duration", "s", "inference", "one inference, worker side"
)
INFERENCE_ERRORS = Signal("model.inference.errors", "1", "inference", "1 for each failed inference")
INFERENCE_CONFIDENCE = Signal(
    "model.inference.confidence", "1", "inference", "the model's own certainty, 0 to 1"
)
OUTPUT_MEAN = Signal(
    "model.output.mean", "1", "inference", "mean over one answer's first numeric output"
)
PERCEPTION_DURATION = Signal(
    "robot.perception.duration", "s", "inference", "frame captured to frame in the worker's hands"
)
CONTROL_LOOP_DURATION = Signal(
    "robot.control_loop.duration", "s", "uptime", "one turn of the control loop beyond its period"
)
CLOUD_ROUND_TRIP = Signal("link.rtt", "s", "network", "robot to hub and back")
SYSTEM_UPTIME = Signal("system.uptime", "s", "uptime", "seconds since the machine started")
PROCESS_UPTIME = Signal("process.uptime", "s", "uptime", "seconds since the bridge started")
MEMORY_UTILIZATION = Signal("system.memory.utilization", "1", "uptime", "used share of memory")
FILESYSTEM_UTILIZATION = Signal(
    "system.filesystem.utilization", "1", "uptime", "used share of the state directory's disk"
)
SENSOR_RATE = Signal("sensor.sample.rate", "Hz", "sensor", "frames per second that arrived")
SENSOR_RATE_TARGET = Signal("sensor.sample.rate.target", "Hz", "sensor", "frames per second due")
SENSOR_DROPPED = Signal("sensor.samples.dropped", "1", "sensor", "frames dropped since boot")
LINK_RECONNECTS = Signal("link.reconnects", "1", "network", "reconnects to the hub since boot")
BUFFER_OLDEST_AGE = Signal(
    "telemetry.buffer.oldest_age", "s", "network", "age of the oldest frame not yet stored"
)

SIGNALS: tuple[Signal, ...] = (
    INFERENCE_DURATION,
    INFERENCE_ERRORS,
    INFERENCE_CONFIDENCE,
    OUTPUT_MEAN,
    PERCEPTION_DURATION,
    CONTROL_LOOP_DURATION,
    CLOUD_ROUND_TRIP,
    SYSTEM_UPTIME,
    PROCESS_UPTIME,
    MEMORY_UTILIZATION,
    FILESYSTEM_UTILIZATION,
    SENSOR_RATE,
    SENSOR_RATE_TARGET,
    SENSOR_DROPPED,
    LINK_RECONNECTS,
    BUFFER_OLDEST_AGE,
)

LATENCY_BUDGETS_S: dict[str, float] = {
    CONTROL_LOOP_DURATION.name: 0.010,
    PERCEPTION_DURATION.name: 0.050,
    INFERENCE_DURATION.name: 0.100,
    CLOUD_ROUND_TRIP.name: 0.500,
}

NOT_SUMMARIZED = frozenset(
    signal.name
    for signal in (
        *(SYSTEM_UPTIME, PROCESS_UPTIME, SENSOR_RATE_TARGET),
        *(SENSOR_DROPPED, LINK_RECONNECTS, BUFFER_OLDEST_AGE),
    )
)
"""Counters since boot, and what is set or says how things lay before: a mean of it judges no model."""
