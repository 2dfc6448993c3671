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
        suffix = {
            "s": "_seconds",
            "By": "_bytes",
            "Cel": "_celsius",
            "W": "_watts",
            "V": "_volts",
        }.get(self.unit, "")
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
PREPARATION_PAUSED = Signal(
    "robot.preparation.paused",
    "1",
    "uptime",
    "1 while a model's preparation would disturb the robot",
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
CREDENTIAL_LIFE_LEFT = Signal(
    "robot.credential.life_left", "1", "network", "share of its credentials' life that is left"
)
BUFFER_OLDEST_AGE = Signal(
    "telemetry.buffer.oldest_age", "s", "network", "age of the oldest frame not yet stored"
)
TEMPERATURE = Signal("hw.temperature", "Cel", "machine", "a thermal zone, by hw.id")
TEMPERATURE_LIMIT = Signal(
    "hw.temperature.limit", "Cel", "machine", "where that zone shuts the machine down"
)
HOST_POWER = Signal("hw.host.power", "W", "machine", "what the whole module takes in")
POWER = Signal("hw.power", "W", "machine", "one supply rail, by hw.id")
VOLTAGE = Signal("hw.voltage", "V", "machine", "one supply rail, by hw.id")
FAN_SPEED = Signal("hw.fan.speed_ratio", "1", "machine", "of the fan's full speed")
GPU_UTILIZATION = Signal("hw.gpu.utilization", "1", "machine", "the GPU's load")
BATTERY_CHARGE = Signal("hw.battery.charge", "1", "machine", "of a full battery")
BATTERY_TIME_LEFT = Signal("hw.battery.time_left", "s", "machine", "until it is empty, discharging")
THROTTLED = Signal(
    "robot.throttled", "s", "machine", "since boot, how long heat or power held a processor down"
)
POWER_MODE = Signal("robot.power_mode", "1", "machine", "nvpmodel's number of the power mode")
NETWORK_UP = Signal("hw.network.up", "1", "network", "1 while the interface is up")
NETWORK_IO = Signal("system.network.io", "By", "network", "bytes since boot, by direction")
NETWORK_ERRORS = Signal("system.network.errors", "1", "network", "packets since boot, by direction")
NETWORK_DROPPED = Signal(
    "system.network.packet.dropped", "1", "network", "packets since boot, by direction"
)
WIFI_RSSI = Signal("link.wifi.rssi", "dBm", "network", "how strong the access point is heard")
RECORDING_LOST = Signal(
    "recording.messages.lost",
    "1",
    "recording",
    "messages lost since the bridge started, or with the one before, by recording.kind",
)
RECORDING_OUTBOX = Signal(
    "recording.outbox.size", "By", "recording", "what waits to be stored, by recording.kind"
)
RECORDING_OUTBOX_UTILIZATION = Signal(
    "recording.outbox.utilization",
    "1",
    "recording",
    "of the room for what waits; past 1 the oldest are given up, by recording.kind",
)

SIGNALS: tuple[Signal, ...] = (
    INFERENCE_DURATION,
    INFERENCE_ERRORS,
    INFERENCE_CONFIDENCE,
    OUTPUT_MEAN,
    PERCEPTION_DURATION,
    CONTROL_LOOP_DURATION,
    PREPARATION_PAUSED,
    CLOUD_ROUND_TRIP,
    SYSTEM_UPTIME,
    PROCESS_UPTIME,
    MEMORY_UTILIZATION,
    FILESYSTEM_UTILIZATION,
    SENSOR_RATE,
    SENSOR_RATE_TARGET,
    SENSOR_DROPPED,
    LINK_RECONNECTS,
    CREDENTIAL_LIFE_LEFT,
    BUFFER_OLDEST_AGE,
    TEMPERATURE,
    TEMPERATURE_LIMIT,
    HOST_POWER,
    POWER,
    VOLTAGE,
    FAN_SPEED,
    GPU_UTILIZATION,
    BATTERY_CHARGE,
    BATTERY_TIME_LEFT,
    THROTTLED,
    POWER_MODE,
    NETWORK_UP,
    NETWORK_IO,
    NETWORK_ERRORS,
    NETWORK_DROPPED,
    WIFI_RSSI,
    RECORDING_LOST,
    RECORDING_OUTBOX,
    RECORDING_OUTBOX_UTILIZATION,
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
        *(THROTTLED, POWER_MODE, PREPARATION_PAUSED, CREDENTIAL_LIFE_LEFT),
        *(RECORDING_LOST, RECORDING_OUTBOX, RECORDING_OUTBOX_UTILIZATION),
    )
)
"""Counters since boot, and what is set or says how things lay before: a mean of it judges no model."""
