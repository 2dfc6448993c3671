"""A running alerting process, robots that send frames, and a receiver that counts webhooks."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from nats.aio.client import Client

from fleetward.bus.last_values import last_values
from fleetward.bus.publish import publish
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.contracts.telemetry import TelemetryFrame
from testkit.servers import NatsSystem
from testkit.service_process import ServiceProcess
from testkit.telemetry import frame

FRAME_S = 0.25
RULES = Path(__file__).parents[3] / "libs" / "fleetward" / "rules" / "shipped_rules"


class Receiver:
    """A real HTTP server; ``statuses`` are answered in turn, then 200.

    Delivery is at least once, so it drops copies by their Idempotency-Key, as receivers should.
    """

    def __init__(self, statuses: list[int] | None = None) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.copies = 0
        self.received_at: list[datetime] = []
        self.statuses = list(statuses or [])
        self._server: asyncio.Server | None = None
        self._arrived = asyncio.Condition()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def count(self, wanted: int, timeout_s: float = 60.0) -> None:
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.bodies) >= wanted)

    def of(self, alert: str, status: str = "firing") -> list[dict[str, Any]]:
        return [
            body
            for body in self.bodies
            if body["groupLabels"]["alertname"] == alert and body["status"] == status
        ]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = [
                    line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line
                ]
                headers = {name.lower(): value for name, value in lines}
                body = await reader.readexactly(int(headers["content-length"]))
                status = self.statuses.pop(0) if self.statuses else 200
                if status == 200:
                    await self._keep(headers["idempotency-key"], json.loads(body))
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _keep(self, key: str, body: dict[str, Any]) -> None:
        async with self._arrived:
            if key in self.keys:
                self.copies += 1
                return
            self.received_at.append(datetime.now(timezone.utc))
            self.keys.append(key)
            self.bodies.append(body)
            self._arrived.notify_all()


class Alerting(ServiceProcess):
    """The service as its own process, less patient with robots that went silent."""

    def __init__(
        self,
        system: NatsSystem,
        directory: Path,
        url: str,
        rules: Path,
        grace_s: float,
        signing_key: Path | None,
    ) -> None:
        super().__init__(
            "tests.integration.alerting.impatient_alerting",
            directory / "alerting",
            {
                "FLEETWARD_NATS_URL": system.url,
                "FLEETWARD_CREDENTIALS": str(system.credentials(Principal.ALERTING)),
                "FLEETWARD_STATE_DIR": str(directory / "alerting" / "state"),
                "FLEETWARD_RULES_DIR": str(rules),
                "FLEETWARD_WEBHOOK_URLS": url,
                "RECONNECT_GRACE_S": str(grace_s),
                **({"FLEETWARD_SIGNING_KEY": str(signing_key)} if signing_key else {}),
            },
        )

    def reload(self) -> None:
        """Have it read its rules again."""
        assert self.child is not None
        self.child.send(signal.SIGHUP)


class Robot:
    """Sends frames as a bridge does: in order, 4 a second, until it is muted."""

    def __init__(self, connection: Client, robot_id: str, latency_s: float = 0.02) -> None:
        self.robot_id = robot_id
        self.latency_s = latency_s
        self.attributes: dict[str, str] = {}
        self._connection = connection
        self._sequence = 0
        self._talking = False
        self._task: asyncio.Task[None] | None = None

    async def check_in(self) -> None:
        await publish(
            self._connection,
            RobotCheckedIn(
                robot_id=RobotId(self.robot_id),
                boot_id=BootId("b1"),
                sequence=1,
                checked_in_at=datetime.now(timezone.utc),
            ),
        )

    def next_frame(self) -> TelemetryFrame:
        self._sequence += 1
        started = datetime.now(timezone.utc) - timedelta(seconds=FRAME_S)
        points = [(offset / 10, self.latency_s) for offset in range(3)]
        return frame(
            self.robot_id,
            "b1",
            self._sequence,
            started,
            {"model.inference.duration": points},
            {"model.inference.duration": self.attributes},
        )

    async def send(self) -> None:
        await publish(self._connection, self.next_frame())

    def unmute(self) -> None:
        self._talking = True
        self._task = asyncio.create_task(self._talk())

    async def mute(self) -> None:
        self._talking = False
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _talk(self) -> None:
        while self._talking:
            await self.send()
            await asyncio.sleep(FRAME_S)


class Rig:
    """Everything a test of alerting needs."""

    def __init__(self, system: NatsSystem, directory: Path) -> None:
        self.system = system
        self.receiver = Receiver()
        self._directory = directory
        self._robots: list[Robot] = []
        self._running: list[Alerting] = []

    async def alerting(
        self, rules: Path = RULES, grace_s: float = 2.0, signing_key: Path | None = None
    ) -> Alerting:
        service = Alerting(
            self.system, self._directory, self.receiver.url, rules, grace_s, signing_key
        )
        await service.start()
        self._running.append(service)
        return service

    async def robot(self, robot_id: str, *, lease_s: float = 3600.0, **labels: str) -> Robot:
        enroller = await self.system.connect(Principal.ENROLLER)
        await publish(
            enroller,
            RobotEnrolled(
                robot_id=RobotId(robot_id),
                labels=labels,
                lease_s=lease_s,
                enrolled_at=datetime.now(timezone.utc),
            ),
        )
        robot = Robot(await self.system.connect(robot_id), robot_id)
        await robot.check_in()
        self._robots.append(robot)
        return robot

    async def told(self, event: type[Event]) -> list[Any]:
        """What the bus last heard, by an operator."""
        connection = await self.system.connect(Principal.OPERATOR)
        return [value.event for value in await last_values(connection, event)]

    async def close(self) -> None:
        for robot in self._robots:
            await robot.mute()
        for service in self._running:
            await service.stop()
        await self.receiver.stop()


@asynccontextmanager
async def rig_on(system: NatsSystem, directory: Path) -> AsyncIterator[Rig]:
    rig = Rig(system, directory)
    await rig.receiver.start()
    try:
        yield rig
    finally:
        await rig.close()
