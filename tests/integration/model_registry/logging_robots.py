"""A robot whose bridge collects logs, as a process of its own; another program of it; its way to the hub."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import msgspec
import psutil

from fleetward.bus.publish import publish
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rows import Principal
from testkit import command_line
from testkit.command_line import Ran
from testkit.servers import NatsSystem
from testkit.service_process import ServiceProcess

WAIT_S = 30.0
SEGMENT_S = 0.5


class LoggingRobot(ServiceProcess):
    """``navigation`` is the log file of a program of the robot; ``socket`` takes lines of any."""

    def __init__(
        self,
        system: NatsSystem,
        directory: Path,
        trust_dir: Path,
        environment: dict[str, str],
        nats_url: str = "",
    ) -> None:
        self.id = RobotId(f"arm-{uuid4().hex[:6]}")
        self.state_dir = directory / "robot"
        self.navigation = directory / "var" / "navigation.log"
        self.navigation.parent.mkdir()
        self.socket = directory / "logs.sock"
        self._environment_of_person = environment
        self.environment = {
            "FLEETWARD_ROBOT_ID": self.id,
            "FLEETWARD_NATS_URL": nats_url or system.url,
            "FLEETWARD_CREDENTIALS": str(system.credentials(self.id)),
            "FLEETWARD_STATE_DIR": str(self.state_dir),
            "FLEETWARD_TRUST_DIR": str(trust_dir),
            "FLEETWARD_READY_OFFLINE_AFTER_S": "0.2",
            "FLEETWARD_LOGS": "on",
            "FLEETWARD_LOG_FILES": f"{directory}/var/*.log",
            "FLEETWARD_LOG_SOCKET": str(self.socket),
            "FLEETWARD_LOG_SEGMENT_S": str(SEGMENT_S),
        }
        super().__init__("edge_bridge", directory / "process", self.environment)

    async def enrol(self, system: NatsSystem) -> None:
        """So that people may ask for it."""
        connection = await system.connect(Principal.ENROLLER)
        now = datetime.now(timezone.utc)
        enrolled = RobotEnrolled(robot_id=self.id, labels={}, lease_s=3600.0, enrolled_at=now)
        await publish(connection, enrolled)

    def write(self, *lines: str) -> None:
        """As the program does."""
        with self.navigation.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    async def logs(self, *words: str) -> Ran:
        """``fleetward robot logs``."""
        return await command_line.run(self._environment_of_person, "robot", "logs", self.id, *words)

    async def bodies(self, *words: str) -> list[str]:
        """What the records say, in their order."""
        ended = await self.logs("--json", *words)
        assert ended.code == 0, ended.complaint
        return [msgspec.json.decode(line)["body"] for line in ended.output.splitlines()]

    async def shows(self, holds: Callable[[list[str]], bool], *words: str) -> list[str]:
        """Until what is stored ``holds``."""
        async with asyncio.timeout(WAIT_S):
            while not holds(bodies := await self.bodies(*words)):  # noqa: ASYNC110 (a command)
                await asyncio.sleep(0.2)
        return bodies

    async def holds_segments(self, count: int) -> None:
        """Until so many wait for the hub at least."""
        outbox = self.state_dir / "logs" / "outbox"
        async with asyncio.timeout(WAIT_S):
            while len(list(outbox.glob("*.zst"))) < count:  # noqa: ASYNC110 (files of another's)
                await asyncio.sleep(0.02)

    def collector(self) -> psutil.Process | None:
        """The process that collects, unless there is none just now."""
        assert self.child is not None
        for process in psutil.Process(self.child.pid).children():
            with suppress(psutil.Error):
                if "edge_bridge.logs" in process.cmdline():
                    return process
        return None

    async def kill_collector(self) -> None:
        """kill -9, once there is one."""
        async with asyncio.timeout(WAIT_S):
            while (process := self.collector()) is None:  # noqa: ASYNC110 (a process of another's)
                await asyncio.sleep(0.02)
        process.kill()


class Wire:
    """The robot's way to its hub, which can be cut and mended."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: set[asyncio.StreamWriter] = set()
        self._up = True

    async def start(self) -> str:
        """Returns the URL of this end."""
        self._listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"nats://127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Nothing passes from now on."""
        self._up = False
        for end in self._ends:
            end.close()

    def mend(self) -> None:
        """Whoever connects again gets through."""
        self._up = True

    async def stop(self) -> None:
        """For good."""
        self.cut()
        self._listener.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._up:
            writer.close()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends |= {writer, there}
        await asyncio.gather(_carried(reader, there), _carried(there_reader, writer))


async def _carried(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await source.read(64 * 1024):
            target.write(content)
            await target.drain()
    target.close()
