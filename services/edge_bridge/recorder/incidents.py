"""Which recordings are wanted and how far each is: on disk before anything else happens.

A request becomes an incident that waits for its last second, then a file that waits to be sent, then
a name that is remembered. A kill at any point leaves it at one of them.
"""

from __future__ import annotations

import enum
import logging
import os
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.files import full_disk_named, write_whole
from fleetward.bus.logs import log
from fleetward.contracts.ids import AlertName, Digest, RecordingId
from fleetward.contracts.recordings import RecordingMade

_logger = logging.getLogger(__name__)
_NS_PER_S = 1_000_000_000


class Stage(str, enum.Enum):
    """How far a recording is."""

    WAITING = "waiting"
    CUT = "cut"
    DONE = "done"
    """Stored, or given up."""


class Incident(Struct, frozen=True, kw_only=True):
    """One wanted recording. ``at_ns`` is unix time by the robot's clock."""

    recording_id: RecordingId
    at_ns: int
    before_s: float
    after_s: float
    reason: str = ""
    alert: AlertName | None = None
    incident: int = 0
    model_digest: Digest | None = None
    clock_offset_s: float | None = None
    stage: Stage = Stage.WAITING
    made: RecordingMade | None = None
    upload_id: str = ""
    attempts: int = 0

    @property
    def between_ns(self) -> tuple[int, int]:
        """The first and the last instant that belong to it."""
        return (
            self.at_ns - int(self.before_s * _NS_PER_S),
            self.at_ns + int(self.after_s * _NS_PER_S),
        )


class Incidents:
    """Every incident of ``directory``, the oldest first. The files are written in threads."""

    def __init__(self, directory: Path, remembered: int) -> None:
        """Raises OSError."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._remembered = remembered
        read = [_read(path) for path in directory.glob("*.json")]
        known = [incident for incident in read if incident is not None]
        self._known = {
            incident.recording_id: incident
            for incident in sorted(known, key=lambda incident: incident.at_ns)
        }
        for partial in directory.glob("*.partial"):
            partial.unlink()

    def __contains__(self, recording_id: RecordingId) -> bool:
        return recording_id in self._known

    def at(self, stage: Stage) -> list[Incident]:
        """Those that are so far."""
        known = list(self._known.values())  # at once: a thread may be adding one
        return [incident for incident in known if incident.stage is stage]

    def file_of(self, incident: Incident) -> Path:
        """Where its bytes lie once it is cut."""
        return self._directory / f"{incident.recording_id}.mcap"

    def held_bytes(self) -> int:
        """What waits to be sent."""
        return sum(each.made.size_bytes for each in self.at(Stage.CUT) if each.made is not None)

    def keep(self, incident: Incident) -> None:
        """Write down how far it is; raises DiskFullError or DiskFailedError."""
        write_whole(self._path(incident), msgspec.json.encode(incident))
        self._known[incident.recording_id] = incident

    def end(self, incident: Incident) -> None:
        """It is stored or given up: its bytes go, its name stays for a while. Raises DiskFailedError."""
        self._known.pop(incident.recording_id, None)  # the last to end is the last to be forgotten
        self.keep(replace(incident, stage=Stage.DONE))
        with full_disk_named(self.file_of(incident).name):
            self.file_of(incident).unlink(missing_ok=True)
            done = self.at(Stage.DONE)
            for old in done[: max(0, len(done) - self._remembered)]:
                self._path(old).unlink(missing_ok=True)
                del self._known[old.recording_id]

    def place(self, incident: Incident, partial: Path) -> None:
        """Put a whole file where ``file_of`` says, for good; raises DiskFailedError."""
        with full_disk_named(partial.name):
            descriptor = os.open(partial, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            partial.replace(self.file_of(incident))

    def _path(self, incident: Incident) -> Path:
        return self._directory / f"{incident.recording_id}.json"


def _read(path: Path) -> Incident | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Incident)
    except (OSError, msgspec.MsgspecError) as problem:
        log(
            _logger,
            "recording.unreadable",
            level=logging.ERROR,
            path=str(path),
            reason=str(problem),
        )
        return None
