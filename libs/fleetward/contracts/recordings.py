"""Recordings of a robot's last seconds: asked for, sent to the store in parts, kept, fetched."""

from __future__ import annotations

import hashlib

from msgspec import Struct

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import AlertName, Digest, RecordingId, RobotId

BEFORE_S = 60.0
AFTER_S = 30.0
MAX_WINDOW_S = 600.0
"""Of each: the seconds before and the seconds after."""
MAX_RECORDING_BYTES = 256 * 1024 * 1024
PART_BYTES = 8 * 1024 * 1024
"""S3 takes no smaller part than 5 MiB but the last; a part that was cut off is sent whole again."""
BEFORE_ANNOTATION, AFTER_ANNOTATION = "record_before_s", "record_after_s"
"""Of an alerting rule: other seconds for its recordings, a plain number each."""
RECORDINGS_PER_ROBOT = 64
"""The store keeps the newest of each robot."""
RECORDINGS_PREFIX = "recordings/"
REFUSALS_TOLD = 8
"""The newest of a robot."""


class RecordingRequested(Event, frozen=True, kw_only=True):
    """A robot shall send what it recorded around ``at``, from ``before_s`` before to ``after_s`` after.

    ``alert`` and ``incident`` name the alert that asked, when one did.
    """

    robot_id: RobotId
    recording_id: RecordingId
    at: UtcTime
    before_s: float = BEFORE_S
    after_s: float = AFTER_S
    reason: str = ""
    alert: AlertName | None = None
    incident: int = 0


def asked_by(fired: AlertFired) -> RecordingRequested:
    """What an alert asks of its robot: the same for the same incident, however often it is said."""
    name = f"{fired.robot_id}:{fired.alert}:{fired.incident}"
    return RecordingRequested(
        robot_id=fired.robot_id,
        recording_id=RecordingId(f"alert-{hashlib.sha256(name.encode()).hexdigest()[:16]}"),
        at=fired.fired_at,
        before_s=window_s(fired.annotations.get(BEFORE_ANNOTATION, ""), BEFORE_S),
        after_s=window_s(fired.annotations.get(AFTER_ANNOTATION, ""), AFTER_S),
        reason=f"{fired.alert} {fired.severity.value}",
        alert=fired.alert,
        incident=fired.incident,
    )


def window_s(text: str, otherwise_s: float) -> float:
    """The seconds that an annotation says; ``otherwise_s`` when it says none from 0 to MAX_WINDOW_S."""
    try:
        said_s = float(text)
    except ValueError:
        return otherwise_s
    return said_s if 0.0 <= said_s <= MAX_WINDOW_S else otherwise_s


class RecordingMade(Struct, frozen=True, kw_only=True):
    """One MCAP file: what its bytes are, what it covers by the hub's clock, and why it was made.

    ``clock_offset_s``: the hub's clock minus the robot's, by which the file's times are the robot's;
    None when the robot could not tell.
    """

    recording_id: RecordingId
    digest: Digest
    size_bytes: int
    messages: int
    started_at: UtcTime
    ended_at: UtcTime
    reason: str = ""
    alert: AlertName | None = None
    model_digest: Digest | None = None
    clock_offset_s: float | None = None


class RecordingStored(Event, frozen=True, kw_only=True):
    """A robot's recording lies in the store, and its bytes have the digest that the robot told."""

    robot_id: RobotId
    recording_id: RecordingId
    recording: RecordingMade
    stored_at: UtcTime


class RecordingRefusal(Struct, frozen=True, kw_only=True):
    """A recording that was asked for and will not come, and why."""

    recording_id: RecordingId
    reason: str


class RecordingsRefused(Event, frozen=True, kw_only=True):
    """A robot sends no recording of these requests: its newest ``REFUSALS_TOLD``, the last one last."""

    robot_id: RobotId
    refusals: tuple[RecordingRefusal, ...]
    refused_at: UtcTime


class GrantUpload(Event, frozen=True, kw_only=True):
    """A robot asks where to put the parts of a recording; ``upload_id`` is of an upload that it goes on with."""

    robot_id: RobotId
    recording: RecordingMade
    upload_id: str = ""


class UploadGranted(Event, frozen=True, kw_only=True):
    """A URL for each part that has not arrived, by its number from 1; none when all have."""

    upload_id: str
    part_bytes: int
    urls: dict[int, str]
    expires_at: UtcTime


class KeepRecording(Event, frozen=True, kw_only=True):
    """Every part was sent: make it one object, look at its bytes, and say that it is stored."""

    robot_id: RobotId
    recording: RecordingMade
    upload_id: str


class RecordingKept(Event, frozen=True, kw_only=True):
    """The recording is stored; the robot may forget it."""

    robot_id: RobotId
    recording_id: RecordingId


class LinkRecording(Event, frozen=True, kw_only=True):
    """A person asks for a recording's bytes."""

    robot_id: RobotId
    recording_id: RecordingId


class RecordingLinked(Event, frozen=True, kw_only=True):
    """Where the bytes can be fetched until ``expires_at``, and what they must hash to."""

    recording: RecordingMade
    url: str
    expires_at: UtcTime
