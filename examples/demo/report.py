"""What the demo leaves behind: report.json, and whether everything promised happened."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import Struct


class RolloutLine(Struct, kw_only=True):
    """One rollout: what was rolled out, how it ended, and why."""

    rollout: str
    model: str
    version: str
    strategy: str
    state: str
    reason: str


class RobotLine(Struct, kw_only=True):
    """One robot at the end. Frames are counted over every boot of its bridge."""

    id: str
    active_version: str
    active_digest: str
    frames_served: int
    frames_dropped: int
    frames_reissued: int


class AlertLine(Struct, kw_only=True):
    """One alert. ``fired_after_s``: since the fault it reports was caused; None for any other."""

    name: str
    robot: str
    fired_after_s: float | None


class Promise(Struct, kw_only=True):
    """One thing the demo promised, whether it happened, and what was seen."""

    promised: str
    kept: bool
    seen: str


class Report(Struct, kw_only=True):
    """Everything the demo saw. Bytes are those that robots fetched, per rollout."""

    rollouts: list[RolloutLine] = []
    robots: list[RobotLine] = []
    alerts: list[AlertLine] = []
    timings_s: dict[str, float] = {}
    bytes_moved: dict[str, int] = {}
    promises: list[Promise] = []

    def promise(self, promised: str, *, kept: bool, seen: str) -> None:
        """Record whether something promised happened."""
        self.promises.append(Promise(promised=promised, kept=kept, seen=seen))

    @property
    def kept(self) -> bool:
        """Whether everything promised happened, and something was."""
        return bool(self.promises) and all(promise.kept for promise in self.promises)

    def write(self, path: Path) -> None:
        """Write the report as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
        partial.replace(path)
