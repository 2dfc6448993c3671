"""How the robot's machine and its control loop are doing, read from the kernel."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

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
MAX_TURNS = 4096
"""That wait to be told of; older ones are forgotten."""
_NO_ATTRIBUTES: Mapping[str, str] = {}


class RecordAt(Protocol):
    """Takes one sample of an instant, unix ns."""

    def __call__(
        self, signal: str, value: float, attributes: Mapping[str, str], at_ns: int
    ) -> None: ...


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
    """Stands in for a control loop where there is none: a thread that measures its own lateness.

    It notes each turn and does no more: what a processor does right after it slept costs it thrice.
    """

    def __init__(
        self, record: RecordAt, rate_hz: float, on_turn: Callable[[float], None] | None = None
    ) -> None:
        self._record = record
        self._on_turn = on_turn
        self._period_s = 1.0 / rate_hz
        self._turns: deque[tuple[int, float]] = deque(maxlen=MAX_TURNS)
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="control-loop-probe", daemon=True)

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def stop(self) -> None:
        """End within one period."""
        self._stopped = True
        self._thread.join()

    def tell(self) -> None:
        """Record the turns since the last time, each at its own instant."""
        for _ in range(len(self._turns)):
            at_ns, late_s = self._turns.popleft()
            self._record(CONTROL_LOOP_DURATION.name, late_s, _NO_ATTRIBUTES, at_ns)

    def _run(self) -> None:
        due_s = time.monotonic() + self._period_s
        while not self._stopped:
            time.sleep(max(0.0, due_s - time.monotonic()))
            late_s = max(0.0, time.monotonic() - due_s)
            self._turns.append((time.time_ns(), late_s))
            if self._on_turn is not None:
                self._on_turn(late_s)
            due_s += late_s + self._period_s
