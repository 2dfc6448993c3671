"""Asks robots for what they recorded, lists what is stored, and fetches it."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_hex

from nats.aio.client import Client

from fleetward.bus.last_values import last_value, last_values
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.client.downloads import download
from fleetward.client.errors import (
    NotRecordingError,
    RecordingRefusedError,
    RecordingTimeoutError,
)
from fleetward.contracts.ids import RecordingId, RobotId
from fleetward.contracts.recordings import (
    AFTER_S,
    BEFORE_S,
    LinkRecording,
    RecordingLinked,
    RecordingMade,
    RecordingRequested,
    RecordingsRefused,
    RecordingStored,
)
from fleetward.contracts.robots import RobotCheckedIn

LOOK_EVERY_S = 0.5
SENDING_S = 300.0
"""How long a recording may be on its way once its last second was recorded."""


async def request(
    connection: Client,
    robot: RobotId,
    *,
    before_s: float = BEFORE_S,
    after_s: float = AFTER_S,
    reason: str = "asked for by a person",
) -> RecordingRequested:
    """Ask a robot for its last and next seconds; raises NotRecordingError.

    A robot that is away hears of it when it is back, and sends what it still has.
    """
    said = await last_value(connection, RobotCheckedIn, robot_id=robot)
    if said is None or not said.event.records:
        raise NotRecordingError(
            f"{robot} {'never checked in' if said is None else 'has its flight recorder off'}. "
            "Set FLEETWARD_RECORDER=on for its bridge."
        )
    requested = RecordingRequested(
        robot_id=robot,
        recording_id=RecordingId(f"asked-{token_hex(8)}"),
        at=datetime.now(timezone.utc),
        before_s=before_s,
        after_s=after_s,
        reason=reason,
    )
    await publish(connection, requested, message_id=f"recording-{requested.recording_id}")
    return requested


async def stored(connection: Client, robot: RobotId) -> list[RecordingStored]:
    """What is stored of a robot, the oldest first; of more than the store keeps, the old ones' bytes are gone."""
    values = await last_values(connection, RecordingStored, robot_id=robot)
    found = [value.event for value in values]
    return sorted(found, key=lambda event: (event.recording.started_at, event.recording_id))


async def arrived(
    connection: Client, requested: RecordingRequested, *, sending_s: float = SENDING_S
) -> RecordingStored:
    """Wait until a recording is stored; raises RecordingRefusedError, RecordingTimeoutError."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + requested.after_s + sending_s
    robot, recording = requested.robot_id, requested.recording_id
    while loop.time() < until_s:
        value = await last_value(
            connection, RecordingStored, robot_id=robot, recording_id=recording
        )
        if value is not None:
            return value.event
        reason = await refusal_reason(connection, robot, recording)
        if reason is not None:
            raise RecordingRefusedError(f"{robot} sends no {recording}: {reason}.")
        await asyncio.sleep(LOOK_EVERY_S)
    raise RecordingTimeoutError(
        f"{recording} of {robot} did not arrive within {requested.after_s + sending_s:g} s. "
        f"Look later at `fleetward robot recordings {robot}`."
    )


async def refusal_reason(connection: Client, robot: RobotId, recording: RecordingId) -> str | None:
    """Why a robot sends no such recording, if it is one of the newest that it refused."""
    value = await last_value(connection, RecordingsRefused, robot_id=robot)
    refusals = () if value is None else value.event.refusals
    return next((each.reason for each in refusals if each.recording_id == recording), None)


async def fetch(
    connection: Client, robot: RobotId, recording: RecordingId, path: Path
) -> RecordingMade:
    """Write a stored recording to ``path``, whole or not at all; raises RefusedError, DownloadError."""
    linked: RecordingLinked = await ask(
        connection, LinkRecording(robot_id=robot, recording_id=recording)
    )
    await download(linked.url, linked.recording.digest, path)
    return linked.recording
