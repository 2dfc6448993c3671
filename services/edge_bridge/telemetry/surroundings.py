"""How warm the robot is and how much power it may draw, in a word each, for a receipt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edge_bridge.telemetry.machine import Machine
from edge_bridge.telemetry.sysfs import text
from fleetward.contracts.signals import POWER_MODE, TEMPERATURE, Signal

NVPMODEL_NAMES = "etc/nvpmodel.conf"
PLATFORM_PROFILE = "sys/firmware/acpi/platform_profile"
GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


class Surroundings:
    """Of the machine whose files are seen under ``root``; what it does not have is left out."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def temperatures_c(self) -> dict[str, float]:
        """By the kind of each thermal zone; of zones of one kind, the warmest."""
        found: dict[str, float] = {}
        for zone, celsius in self._readings(TEMPERATURE):
            found[zone] = max(found.get(zone, celsius), celsius)
        return found

    def power_mode(self) -> str:
        """``MAXN`` or ``mode 2`` on a Jetson, else the platform's profile or the CPU's governor."""
        for _, mode in self._readings(POWER_MODE):
            return self._name_of(int(mode))
        return text(self._root / PLATFORM_PROFILE) or text(self._root / GOVERNOR) or ""

    def _readings(self, signal: Signal) -> Iterator[tuple[str, float]]:
        for reading in Machine(self._root).readings():
            if reading.signal == signal:
                yield reading.attributes.get("hw.id", ""), reading.value

    def _name_of(self, mode: int) -> str:
        names = text(self._root / NVPMODEL_NAMES) or ""
        named = re.search(rf"<\s*POWER_MODEL\s+ID={mode}\s+NAME=(\S+)\s*>", names)
        return named.group(1) if named else f"mode {mode}"
