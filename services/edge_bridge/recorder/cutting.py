"""Cuts a recording out of the ring, with what it is about, no larger than there is room for."""

from __future__ import annotations

import logging
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path

from msgspec.structs import replace

from edge_bridge.files import Disk, Files, full_disk_named
from edge_bridge.recorder.incidents import Incident, Incidents, Stage
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.recorder.recorder import FlightRecorder
from fleetward.bus.logs import log
from fleetward.contracts.ids import RobotId
from fleetward.contracts.recordings import MAX_RECORDING_BYTES, RecordingMade

_logger = logging.getLogger(__name__)
_NS_PER_S = 1_000_000_000


class Cutter:
    """Turns an incident that waits into a file that can be sent."""

    def __init__(
        self,
        robot_id: RobotId,
        recorder: FlightRecorder,
        incidents: Incidents,
        limits: RecorderLimits,
        reserve_bytes: int,
    ) -> None:
        self._robot_id = robot_id
        self._recorder = recorder
        self._incidents = incidents
        self._limits = limits
        self._reserve_bytes = reserve_bytes

    def make(self, incident: Incident) -> bool:
        """In a thread: write the file of its messages, then that it is there; False: it would be empty.

        Raises DiskFullError, DiskFailedError.
        """
        path = self._incidents.file_of(incident)
        partial = path.with_name(f"{path.name}.partial")
        try:
            with full_disk_named(path.name), partial.open("wb") as file:
                messages = self._recorder.cut(
                    file,
                    incident.between_ns,
                    self._limit_bytes(path),
                    _metadata(self._robot_id, incident),
                )
            if not messages:
                self._incidents.end(incident)
                return False
            made = _made(incident, partial, messages)
            self._incidents.place(incident, partial)
        finally:
            partial.unlink(missing_ok=True)
        self._incidents.keep(replace(incident, stage=Stage.CUT, made=made))
        log(_logger, "recording.cut", recording_id=incident.recording_id, messages=messages)
        return True

    def _limit_bytes(self, path: Path) -> int:
        """Room in the outbox and on the disk; a recording is cut shorter rather than not at all."""
        free_bytes = shutil.disk_usage(path.parent).free - self._reserve_bytes
        room_bytes = self._limits.outbox_bytes - self._incidents.held_bytes()
        return max(0, min(MAX_RECORDING_BYTES // 2, free_bytes, room_bytes))


def _made(incident: Incident, path: Path, messages: int) -> RecordingMade:
    offset = timedelta(seconds=incident.clock_offset_s or 0.0)
    first_ns, last_ns = incident.between_ns
    with full_disk_named(path.name):
        digest = Files(Disk()).digest(path)
        size_bytes = path.stat().st_size
    return RecordingMade(
        recording_id=incident.recording_id,
        digest=digest,
        size_bytes=size_bytes,
        messages=messages,
        started_at=_utc(first_ns) + offset,
        ended_at=_utc(last_ns) + offset,
        reason=incident.reason,
        alert=incident.alert,
        model_digest=incident.model_digest,
        clock_offset_s=incident.clock_offset_s,
    )


def _metadata(robot_id: RobotId, incident: Incident) -> dict[str, str]:
    """What the file says of itself; MCAP knows text alone."""
    offset_s = incident.clock_offset_s
    return {
        "robot_id": robot_id,
        "recording_id": incident.recording_id,
        "at_ns": str(incident.at_ns),
        "before_s": f"{incident.before_s:g}",
        "after_s": f"{incident.after_s:g}",
        "reason": incident.reason,
        "alert": incident.alert or "",
        "incident": str(incident.incident) if incident.alert else "",
        "model_digest": incident.model_digest or "",
        "clock_offset_s": "" if offset_s is None else f"{offset_s:.6f}",
    }


def _utc(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / _NS_PER_S, timezone.utc)
