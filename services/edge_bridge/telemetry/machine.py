"""What the kernel says of the robot's hardware: heat, power, fans, GPU, battery and network.

Read where Jetsons keep it, an Orin and a Thor alike, and any other Linux machine as far as it has the
same files; a part that a machine lacks is left out. Nothing needs root, and nothing under
``/sys/kernel/debug`` is read. Units on disk are milli and micro; what is recorded is in units of
OpenTelemetry's hardware conventions, with ``hw.id`` naming the part.

Sources: Linux's ``Documentation/hwmon`` (ina3221, ina238, pwm-fan), ``thermal/sysfs-api`` and
``ABI/testing/sysfs-class-power``; NVIDIA's Jetson Linux Developer Guide, "Platform Power and
Performance", for the rails, the ``load`` of the GPU in thousandths and nvpmodel's status file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from edge_bridge.telemetry.sysfs import POWER_SUPPLIES, Layout, Part, batteries, number, text
from fleetward.contracts.signals import (
    BATTERY_CHARGE,
    BATTERY_TIME_LEFT,
    FAN_SPEED,
    GPU_UTILIZATION,
    HOST_POWER,
    NETWORK_DROPPED,
    NETWORK_ERRORS,
    NETWORK_IO,
    NETWORK_UP,
    POWER,
    POWER_MODE,
    TEMPERATURE,
    TEMPERATURE_LIMIT,
    THROTTLED,
    VOLTAGE,
    WIFI_RSSI,
    Signal,
)

MILLI, MICRO = 1e3, 1e6
LAID_OUT_ANEW_S = 10.0
"""A part that comes while the bridge runs is seen after so long; what a part says is read each time."""
MAX_PARTS = 32
"""Of one kind: a machine with more thermal zones than any Jetson must not fill a frame alone."""
OFFLINE_CELSIUS = -256.0
"""What a Jetson says of a sensor whose part is switched off."""
PWM_FULL = 255
GPU_LOAD_FULL = 1000
HOST_RAILS = frozenset({"VDD_IN"})
"""The rail that feeds the whole module, where INA3221 measures it."""
_LABEL = re.compile(r"in([1-3])_label")
"""Three channels are rails; the seventh is the sum of their shunts, and no voltage of anything."""
_GPU = re.compile(r"gpu|gv11b|ga10b|gp10b")
_WIFI = re.compile(r"\s*(\S+):\s+\S+\s+\S+\s+(-?\d+)\.?\s")
_POWER_MODE = re.compile(r"pmode:(\d+)")
_DIRECTIONS = {"receive": "rx", "transmit": "tx"}
_COUNTERS = (
    (NETWORK_IO, "bytes"),
    (NETWORK_ERRORS, "errors"),
    (NETWORK_DROPPED, "dropped"),
)


class Record(Protocol):
    """Takes one sample."""

    def __call__(self, signal: str, value: float, attributes: Mapping[str, str] = ...) -> None: ...


class Reading(Struct, frozen=True):
    """One value, in the signal's unit, and the part that it is of."""

    signal: Signal
    value: float
    attributes: Mapping[str, str]


class Machine:
    """Reads all of it; ``root`` is where the machine's own file system is seen, as from a container."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = str(root).rstrip("/")
        self._layout = Layout()
        self._laid_out_s: float | None = None
        self._throttled_s = 0.0
        self._read_s: float | None = None

    def read(self, record: Record, now_s: float | None = None) -> None:
        """Record everything once. now_s: by the monotonic clock."""
        now_s = time.monotonic() if now_s is None else now_s
        if self._laid_out_s is None or now_s - self._laid_out_s >= LAID_OUT_ANEW_S:
            self._layout.forget()
            self._laid_out_s = now_s
        for reading in self.readings():
            record(reading.signal.name, reading.value, reading.attributes)
        self._count_throttled(now_s)
        record(THROTTLED.name, self._throttled_s)

    def readings(self) -> Iterator[Reading]:
        """What every part says now."""
        for family in (_temperatures, _rails, _chips, _fans, _gpus, _batteries, _interfaces):
            yield from family(self._layout, self._root)
        yield from _wifi(self._root)
        mode = _POWER_MODE.search(text(f"{self._root}/var/lib/nvpmodel/status") or "")
        if mode is not None:
            yield Reading(POWER_MODE, float(mode[1]), {})

    def _count_throttled(self, now_s: float) -> None:
        """Time between two readings counts when the later one finds something held down."""
        if self._read_s is not None and is_throttled(self._layout, self._root):
            self._throttled_s += now_s - self._read_s
        self._read_s = now_s


def is_throttled(layout: Layout, root: str) -> bool:
    """Whether heat or power holds a processor down now; a fan that turns does not."""
    return any(
        (number(f"{device.path}/cur_state") or 0) > 0
        for device in layout.parts(f"{root}/sys/class/thermal", "cooling_device*")
        if "fan" not in (layout.text(f"{device.path}/type") or "fan")
    )


def _temperatures(layout: Layout, root: str) -> Iterator[Reading]:
    for zone in layout.parts(f"{root}/sys/devices/virtual/thermal", "thermal_zone*")[:MAX_PARTS]:
        celsius = number(f"{zone.path}/temp", MILLI)
        if celsius is None or celsius <= OFFLINE_CELSIUS:
            continue
        of = {"hw.id": layout.text(f"{zone.path}/type") or zone.name}
        yield Reading(TEMPERATURE, celsius, of)
        limits = [layout.number(trip, MILLI) for trip in _trips(layout, zone, "critical")]
        limit = min((each for each in limits if each is not None and each > 0), default=None)
        if limit is not None:
            yield Reading(TEMPERATURE_LIMIT, limit, of)


def _trips(layout: Layout, zone: Part, kind: str) -> Iterator[str]:
    for trip in layout.parts(zone.path, "trip_point_*_type"):
        if layout.text(trip.path) == kind:
            yield trip.path.removesuffix("_type") + "_temp"


def _monitors(layout: Layout, root: str, chip: str) -> Iterator[tuple[Part, Part]]:
    """Devices on any I2C bus with a power monitor of that kind, and its directory."""
    for device in layout.parts(f"{root}/sys/bus/i2c/devices", "*"):
        for monitor in layout.parts(f"{device.path}/hwmon", "hwmon*"):
            if layout.text(f"{monitor.path}/name") == chip:
                yield device, monitor


def _rails(layout: Layout, root: str) -> Iterator[Reading]:
    """INA3221, of Orins and Thors: up to three rails each, volts and amperes."""
    for _, monitor in _monitors(layout, root, "ina3221"):
        for label in layout.parts(monitor.path, "in*_label"):
            channel = _LABEL.fullmatch(label.name)
            rail = layout.text(label.path) or ""
            if channel is None or not rail or rail == "NC":
                continue
            volts = number(f"{monitor.path}/in{channel[1]}_input", MILLI)
            amperes = number(f"{monitor.path}/curr{channel[1]}_input", MILLI)
            if volts is None or amperes is None:
                continue
            yield Reading(VOLTAGE, volts, {"hw.id": rail})
            yield Reading(POWER, volts * amperes, {"hw.id": rail})
            if rail in HOST_RAILS:
                yield Reading(HOST_POWER, volts * amperes, {"hw.id": rail})


def _chips(layout: Layout, root: str) -> Iterator[Reading]:
    """INA238, of Thors: what the whole module takes in, in microwatts."""
    for device, monitor in _monitors(layout, root, "ina238"):
        of = {"hw.id": f"ina238-{device.name}"}
        watts = number(f"{monitor.path}/power1_input", MICRO)
        volts = number(f"{monitor.path}/in1_input", MILLI)
        if volts is not None:
            yield Reading(VOLTAGE, volts, of)
        if watts is not None:
            yield Reading(POWER, watts, of)
            yield Reading(HOST_POWER, watts, of)


def _fans(layout: Layout, root: str) -> Iterator[Reading]:
    for fan in layout.parts(f"{root}/sys/class/hwmon", "hwmon*"):
        pwm = number(f"{fan.path}/pwm1", PWM_FULL)
        if pwm is not None:
            yield Reading(FAN_SPEED, pwm, {"hw.id": layout.text(f"{fan.path}/name") or fan.name})


def _gpus(layout: Layout, root: str) -> Iterator[Reading]:
    for gpu in layout.parts(f"{root}/sys/class/devfreq", "*"):
        load = number(f"{gpu.path}/device/load", GPU_LOAD_FULL) if _GPU.search(gpu.name) else None
        if load is not None:
            yield Reading(GPU_UTILIZATION, load, {"hw.id": gpu.name})


def _batteries(layout: Layout, root: str) -> Iterator[Reading]:
    for supply in batteries(layout, f"{root}/{POWER_SUPPLIES}"):
        of = {"hw.id": supply.name}
        charge = number(f"{supply.path}/capacity", 100)
        left_s = number(f"{supply.path}/time_to_empty_now")
        if charge is not None:
            yield Reading(BATTERY_CHARGE, charge, of)
        if left_s is not None and text(f"{supply.path}/status") == "Discharging":
            yield Reading(BATTERY_TIME_LEFT, left_s, of)


def _interfaces(layout: Layout, root: str) -> Iterator[Reading]:
    """Those that are a device; bridges and tunnels carry the same bytes again."""
    ports = layout.parts(f"{root}/sys/class/net", "*")
    for port in [each for each in ports if layout.has(f"{each.path}/device")][:MAX_PARTS]:
        name = {"network.interface.name": port.name}
        yield Reading(NETWORK_UP, float(text(f"{port.path}/operstate") == "up"), name)
        for direction, prefix in _DIRECTIONS.items():
            of = {**name, "network.io.direction": direction}
            for signal, counter in _COUNTERS:
                counted = number(f"{port.path}/statistics/{prefix}_{counter}")
                if counted is not None:
                    yield Reading(signal, counted, of)


def _wifi(root: str) -> Iterator[Reading]:
    for line in (text(f"{root}/proc/net/wireless") or "").splitlines():
        found = _WIFI.match(line + " ")
        if found is not None:
            yield Reading(WIFI_RSSI, float(found[2]), {"network.interface.name": found[1]})
