"""Turns a message into a frame to store, or into a refusal that says why.

A refused frame whose name can be read still counts as settled once its dead letter is kept:
otherwise its robot would send it for ever and never trim its spool.
"""

from __future__ import annotations

from msgspec import Struct

from fleetward.bus.deliveries import decode_from
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import TelemetryFrame
from telemetry_ingest.columns import MAX_SEQUENCE, columns_of
from telemetry_ingest.errors import FrameRefusedError
from telemetry_ingest.store import Arrived


class Refused(Struct, frozen=True):
    """A message that is no frame of its subject's robot; ``settled`` when it at least has a name."""

    error: FleetwardError
    settled: Arrived | None


class _Envelope(Event, frozen=True, kw_only=True):
    """What must be readable to know which frame was refused."""

    robot_id: RobotId
    boot_id: BootId
    sequence: int


def read(subject: str, payload: bytes) -> Arrived | Refused:
    """The frame in ``payload``. One that names another robot than its subject settles nothing:
    otherwise robot A could make robot B trim what was never stored.
    """
    try:
        frame = decode_from(subject, payload)
        if not isinstance(frame, TelemetryFrame):
            raise FrameRefusedError(f"{subject} carries no telemetry. Publish frames there only.")
        columns = columns_of(frame)
    except FleetwardError as error:
        return Refused(error, _settled(subject, payload))
    return Arrived(frame.robot_id, frame.boot_id, frame.sequence, columns)


def _settled(subject: str, payload: bytes) -> Arrived | None:
    try:
        envelope = decode(payload, _Envelope)
    except UnreadableMessageError:
        return None
    is_own = row_of(TelemetryFrame).subject_of(envelope) == subject
    if not is_own or not 1 <= envelope.sequence <= MAX_SEQUENCE:
        return None
    return Arrived(envelope.robot_id, envelope.boot_id, envelope.sequence)
