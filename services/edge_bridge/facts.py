"""What the robot's own program says of it, for interlocks and selectors: with its age, from a file too.

The file is one JSON object of truths and numbers, ``{"docked": true, "battery": 0.8}``, written whole
(write another, then rename) at least every ``max_age_s``: its age is the age of what it says. A file
that is missing, too large, from the future or no such object says nothing. ``battery`` is what the
kernel says where nobody else does: the share of its charge that the robot's emptiest battery holds.
"""

from __future__ import annotations

import threading
import time
from itertools import islice
from pathlib import Path

import msgspec

from edge_bridge.telemetry.sysfs import POWER_SUPPLIES, Layout, batteries, number
from fleetward.contracts.interlocks import (
    FactReported,
    check_fact_name,
    is_fact_name,
    reason_against,
)

MAX_FACTS = 256
MAX_TOLD = 32
"""In a check-in, which is small: with names of full length 2.5 KiB."""
MAX_FILE_BYTES = 64 * 1024
BATTERY = "battery"

Value = bool | float


class Facts:
    """The newest word on each fact. ``report`` may be called from any thread."""

    def __init__(
        self,
        path: Path | None,
        max_age_s: float,
        power_supplies: Path = Path("/") / POWER_SUPPLIES,
    ) -> None:
        self._path = path
        self._max_age_s = max_age_s
        self._power_supplies = power_supplies
        self._lock = threading.Lock()
        self._reported: dict[str, tuple[Value, float]] = {}

    def report(self, name: str, value: Value) -> None:
        """It is so now; raises InterlockError for a name that no interlock can have."""
        check_fact_name(name)
        with self._lock:
            if name in self._reported or len(self._reported) < MAX_FACTS:
                self._reported[name] = (value, time.monotonic())

    def reason_against(self, interlocks: tuple[str, ...]) -> str:
        """Why the robot may not swap at this instant; empty: it may."""
        if not interlocks:
            return ""
        return reason_against(interlocks, self._known(), self._max_age_s)

    def told(self) -> dict[str, Value]:
        """What holds now and is not too old, for selectors: the first ``MAX_TOLD`` by name."""
        fresh = {
            name: fact.value
            for name, fact in sorted(self._known().items())
            if 0 <= fact.age_s <= self._max_age_s and is_fact_name(name)
        }
        return dict(islice(fresh.items(), MAX_TOLD))

    def _known(self) -> dict[str, FactReported]:
        """Each fact as it was said last, by the program or in the file."""
        now_s = time.monotonic()
        with self._lock:
            said = dict(self._reported)
        known = {
            name: FactReported(value=value, age_s=now_s - said_s)
            for name, (value, said_s) in said.items()
        }
        for name, fact in self._in_file().items():
            if name not in known or 0 <= fact.age_s < known[name].age_s:
                known[name] = fact
        charge = None if BATTERY in known else battery_charge(self._power_supplies)
        if charge is not None:
            known[BATTERY] = FactReported(value=charge, age_s=0.0)
        return known

    def _in_file(self) -> dict[str, FactReported]:
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
                age_s = time.time() - self._path.stat().st_mtime
        except OSError:
            return {}
        if len(content) > MAX_FILE_BYTES:
            return {}
        try:
            said = msgspec.json.decode(content, type=dict[str, bool | float])
        except msgspec.MsgspecError:
            return {}
        return {name: FactReported(value=value, age_s=age_s) for name, value in said.items()}


def battery_charge(power_supplies: Path) -> float | None:
    """The charge of the emptiest battery that powers the robot, 0 to 1; None: the kernel knows none.

    Nor where one of several cannot be read now: it may be the emptiest.
    """
    supplies = batteries(Layout(), str(power_supplies))
    charges = [number(f"{supply.path}/capacity", 100) for supply in supplies]
    known = [charge for charge in charges if charge is not None]
    return min(known, default=None) if len(known) == len(charges) else None
