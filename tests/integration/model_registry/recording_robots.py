"""Robots that record and send: an uploader alone, a bridge in this process, and one to be killed."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import aiohttp
import msgspec
from PIL import Image

from edge_bridge.bridge import Bridge
from edge_bridge.errors import TransientError
from edge_bridge.fetching.throttle import Throttle
from edge_bridge.link import Link
from edge_bridge.recorder.incidents import Incident
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.recorder.upload import Uploader
from edge_bridge.settings import Settings
from edge_bridge.shipping.upstream import Upstream, UpstreamLimits
from edge_bridge.sources.source import PushSource
from fleetward.client import Fleet, recordings
from fleetward.client.errors import NotRecordingError
from fleetward.contracts.ids import Digest, RecordingId, RobotId
from fleetward.contracts.recordings import (
    RecordingMade,
    RecordingRequested,
)
from testkit.servers import NatsSystem
from testkit.service_process import ServiceProcess

WAIT_S = 30.0
LIMITS = RecorderLimits(
    enabled=True, write_every_s=0.02, segment_s=0.2, retry_wait_s=0.05, retry_wait_limit_s=0.2
)


class CutOffError(Exception):
    """The robot dies here."""


class Broken(Throttle):
    """Ends the upload after so many bytes."""

    def __init__(self, after_bytes: int) -> None:
        super().__init__(None)
        self._left = after_bytes

    async def take(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise CutOffError


class Sender:
    """One robot's uploads of random bytes, over its own credentials."""

    def __init__(self, name: str, system: NatsSystem, directory: Path) -> None:
        self.id = RobotId(name)
        self.link = Link(system.settings(name), directory / "credentials")
        self.path = directory / "recording.mcap"
        self.upload_ids: list[str] = []
        self.limits = LIMITS

    def made(self, size_bytes: int) -> RecordingMade:
        content = random.Random(7).randbytes(size_bytes)
        self.path.write_bytes(content)
        now = datetime.now(timezone.utc)
        return RecordingMade(
            recording_id=RecordingId(f"rec-{uuid4().hex[:8]}"),
            digest=Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"),
            size_bytes=size_bytes,
            messages=1,
            started_at=now,
            ended_at=now,
        )

    async def send(
        self, made: RecordingMade, throttle: Throttle | None = None, upload_id: str = ""
    ) -> int:
        """Return how many bytes this attempt sent."""
        async with aiohttp.ClientSession() as session:
            upstream = Upstream(UpstreamLimits())
            uploader = Uploader(
                self.id, self.link, lambda: session, upstream, self.limits, throttle
            )
            try:
                await uploader.send(made, self.path, upload_id, self._begun)
            except (CutOffError, TransientError) as problem:
                raise CutOffError from problem
            return uploader.sent_bytes

    async def _begun(self, upload_id: str) -> None:
        self.upload_ids.append(upload_id)


class Recording:
    """A real bridge with its flight recorder on, and no model yet."""

    def __init__(self, system: NatsSystem, directory: Path, trust_dir: Path) -> None:
        self.id = RobotId(f"arm-{uuid4().hex[:6]}")
        self.settings = Settings(
            robot_id=self.id,
            nats_url=system.url,
            credentials=system.credentials(self.id),
            state_dir=directory / "robot",
            trust_dir=trust_dir,
            check_in_s=0.2,
            control_probe_hz=0.0,
            recorder=LIMITS,
        )

    def bridge(self) -> Bridge:
        return Bridge(self.settings, source=PushSource())


async def asked(fleet: Fleet, robot: Recording, after_s: float) -> RecordingRequested:
    """As soon as the robot said that it records."""

    async def asking() -> RecordingRequested:
        while True:
            try:
                return await recordings.request(
                    fleet.connection, robot.id, before_s=60, after_s=after_s, reason="a test"
                )
            except NotRecordingError:
                await asyncio.sleep(0.05)

    return await asyncio.wait_for(asking(), WAIT_S)


class BridgeProcess(ServiceProcess):
    """A bridge that records noise from a camera and may send next to nothing, until it may."""

    def __init__(
        self, robot: Recording, directory: Path, *, bytes_per_s: float, **variables: str
    ) -> None:
        self.incidents = robot.settings.state_dir / "recorder" / "incidents"
        frames = directory / "frames"
        frames.mkdir(parents=True, exist_ok=True)
        Image.frombytes("RGB", (64, 64), random.Random(1).randbytes(64 * 64 * 3)).save(
            frames / "noise.png"
        )
        settings = robot.settings
        super().__init__(
            "edge_bridge",
            directory,
            {
                "FLEETWARD_ROBOT_ID": robot.id,
                "FLEETWARD_NATS_URL": settings.nats_url,
                "FLEETWARD_CREDENTIALS": str(settings.credentials),
                "FLEETWARD_STATE_DIR": str(settings.state_dir),
                "FLEETWARD_TRUST_DIR": str(settings.trust_dir),
                "FLEETWARD_FRAMES_DIR": str(frames),
                "FLEETWARD_FRAME_RATE_HZ": "20",
                "FLEETWARD_CHECK_IN_S": "0.2",
                "FLEETWARD_RECORDER": "on",
                "FLEETWARD_RECORDER_FRAME_EVERY": "1",
                "FLEETWARD_RECORDER_BYTES_PER_S": str(bytes_per_s),
                **variables,
            },
        )

    async def reaches(self, holds: Callable[[Incident], bool]) -> None:
        """Until an incident on the robot's disk ``holds``."""

        async def waiting() -> None:
            while True:
                if any(map(holds, self._on_disk())):
                    return
                await asyncio.sleep(0.02)

        await asyncio.wait_for(waiting(), WAIT_S)

    def _on_disk(self) -> list[Incident]:
        return [
            msgspec.json.decode(path.read_bytes(), type=Incident)
            for path in self.incidents.glob("*.json")
        ]
