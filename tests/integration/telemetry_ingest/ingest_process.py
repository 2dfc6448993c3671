"""A real telemetry-ingest process, and a robot that keeps each frame until it is told to trim."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.connection import BusSettings
from fleetward.bus.errors import PublishError
from fleetward.bus.publish import publish
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode
from fleetward.contracts.event import Event
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import TelemetryFrame, TelemetryStored
from telemetry_ingest.settings import Settings
from testkit.servers import NatsSystem
from testkit.service_process import ServiceProcess

STORED_TIMEOUT_S = 60.0


class IngestProcess(ServiceProcess):
    """``python -m telemetry_ingest`` with its own state directory; may be killed and started again."""

    def __init__(self, system: NatsSystem, directory: Path, state_dir: Path | None = None) -> None:
        credentials = system.credentials(Principal.INGEST)
        self.settings = Settings(
            bus=BusSettings(url=system.url, credentials=credentials, name=Principal.INGEST.value),
            state_dir=state_dir or directory / "state",
        )
        super().__init__(
            "telemetry_ingest",
            directory,
            {
                "FLEETWARD_NATS_URL": system.url,
                "FLEETWARD_CREDENTIALS": str(credentials),
                "FLEETWARD_STATE_DIR": str(self.settings.state_dir),
            },
        )


@contextlib.asynccontextmanager
async def running_ingest(
    system: NatsSystem, directory: Path, state_dir: Path | None = None
) -> AsyncIterator[IngestProcess]:
    """A process for the length of a block."""
    process = IngestProcess(system, directory, state_dir)
    await process.start()
    try:
        yield process
    finally:
        if process.child is not None and process.child.running:
            await process.stop()


class Robot:
    """Sends frames and sends again what nobody declared stored, as the bridge's spool does."""

    def __init__(self, connection: Client, robot_id: str, boot_id: str) -> None:
        self._connection = connection
        self._robot_id = robot_id
        self._boot_id = boot_id
        self._spool: dict[int, TelemetryFrame] = {}
        self._trimmed = asyncio.Condition()
        self.announced: list[int] = []

    async def listen(self) -> None:
        """Hear of what is stored."""
        probe = TelemetryStored(robot_id=self._robot_id, boot_id=self._boot_id, sequence=0)  # type: ignore[arg-type]  # plain str ids of a test
        await self._connection.subscribe(row_of(TelemetryStored).subject_of(probe), cb=self._stored)
        await self._connection.flush()

    async def send(self, frame: TelemetryFrame) -> None:
        """Publish once; a frame that the bus does not take stays in the spool."""
        self._spool[frame.sequence] = frame
        name = f"{frame.robot_id}:{frame.boot_id}:{frame.sequence}"
        with contextlib.suppress(PublishError, nats.errors.Error):
            await publish(self._connection, frame, message_id=name, timeout_s=1.0)

    async def send_again(self, frames: Iterable[TelemetryFrame]) -> None:
        """Publish copies that the bus takes for new messages."""
        for frame in frames:
            await publish(self._connection, frame)

    async def stored(self, sequence: int, timeout_s: float = STORED_TIMEOUT_S) -> None:
        """Send again, once a second, until everything up to ``sequence`` is stored."""
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0), self._trimmed:
                        await self._trimmed.wait_for(lambda: self._is_stored(sequence))
                        return
                for frame in list(self._spool.values()):
                    await self.send(frame)

    async def announcement(self, count: int) -> None:
        """Wait until a watermark was announced ``count`` times."""
        async with asyncio.timeout(STORED_TIMEOUT_S), self._trimmed:
            await self._trimmed.wait_for(lambda: len(self.announced) >= count)

    def _is_stored(self, sequence: int) -> bool:
        return bool(self.announced) and max(self.announced) >= sequence

    async def _stored(self, message: Msg) -> None:
        watermark = decode(message.data, TelemetryStored)
        if watermark.boot_id != self._boot_id:
            return
        async with self._trimmed:
            self.announced.append(watermark.sequence)
            for sequence in [one for one in self._spool if one <= watermark.sequence]:
                del self._spool[sequence]
            self._trimmed.notify_all()


class Heard:
    """Every fact of one kind, as somebody who may listen hears it."""

    def __init__(self, kind: type[Event]) -> None:
        self._kind = kind
        self._came = asyncio.Condition()
        self.facts: list[Any] = []  # Any: facts of the kind that was asked for

    async def listen(self, connection: Client) -> None:
        """Start to listen."""
        await connection.subscribe(row_of(self._kind).pattern, cb=self._received)
        await connection.flush()

    async def at_least(self, count: int) -> list[Any]:  # Any: see facts
        """Wait for ``count`` facts; returns all heard so far."""
        async with asyncio.timeout(STORED_TIMEOUT_S), self._came:
            await self._came.wait_for(lambda: len(self.facts) >= count)
        return self.facts

    async def _received(self, message: Msg) -> None:
        async with self._came:
            self.facts.append(decode(message.data, self._kind))
            self._came.notify_all()
