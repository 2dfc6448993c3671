"""How the robot's machine and its control loop are doing, read from the kernel."""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path

from edge_bridge.telemetry.machine import Machine, Record
from edge_bridge.telemetry.sysfs import text
from fleetward.contracts.signals import (
    CONTROL_LOOP_DURATION,
    FILESYSTEM_UTILIZATION,
    MEMORY_UTILIZATION,
    PROCESS_UPTIME,
    SYSTEM_UPTIME,
)

_MEMINFO = "/proc/meminfo"
_MEMORY = re.compile(r"^Mem(?:Total|Available):\s+(\d+)", re.MULTILINE)
"""In the order in which the kernel has them."""


class Vitals:
    """Readings of this machine; ``read`` records each of them once."""

    def __init__(self, state_dir: Path, host_root: Path) -> None:
        self._state_dir = state_dir
        self._machine = Machine(host_root)
        self._started_s = time.monotonic()

    def read(self, record: Record) -> None:
        """Record uptime, memory, disk and hardware as they are now."""
        record(SYSTEM_UPTIME.name, time.clock_gettime(time.CLOCK_BOOTTIME))
        record(PROCESS_UPTIME.name, time.monotonic() - self._started_s)
        record(MEMORY_UTILIZATION.name, memory_utilization(text(_MEMINFO) or ""))
        record(FILESYSTEM_UTILIZATION.name, self._filesystem_utilization())
        self._machine.read(record)

    def _filesystem_utilization(self) -> float:
        disk = os.statvfs(self._state_dir)
        return 1.0 - disk.f_bavail / disk.f_blocks if disk.f_blocks else 0.0


def memory_utilization(meminfo: str) -> float:
    """The used share in the text of /proc/meminfo, as the kernel estimates what is available."""
    total_kib, available_kib = (int(kib) for kib in _MEMORY.findall(meminfo))
    return 1.0 - available_kib / total_kib


class ControlLoopProbe:
    """Stands in for a control loop where there is none: a thread that measures its own lateness."""

    def __init__(self, record: Record, rate_hz: float) -> None:
        self._record = record
        self._period_s = 1.0 / rate_hz
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="control-loop-probe", daemon=True)

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def stop(self) -> None:
        """End within one period."""
        self._stopped = True
        self._thread.join()

    def _run(self) -> None:
        due_s = time.monotonic() + self._period_s
        while not self._stopped:
            time.sleep(max(0.0, due_s - time.monotonic()))
            late_s = time.monotonic() - due_s
            self._record(CONTROL_LOOP_DURATION.name, max(0.0, late_s))
            due_s = max(due_s, due_s + late_s) + self._period_s
