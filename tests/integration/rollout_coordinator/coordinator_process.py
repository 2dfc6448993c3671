"""Real ``python -m rollout_coordinator`` processes, started, killed and started again."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

from fleetward.contracts.rows import Principal
from fleetward.local.child import Child
from fleetward.trust.signing import TARGET, SigningKey
from testkit.servers import NatsSystem, run_process

READY_TIMEOUT_S = 20.0


class CoordinatorProcess:
    """One replica; ``key`` signs the targets of all of them."""

    def __init__(self, system: NatsSystem, directory: Path, key: Path) -> None:
        self._system = system
        self._directory = directory
        self._key = key
        directory.mkdir(parents=True, exist_ok=True)
        self.child: Child | None = None

    async def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        address = self._directory / "ready"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as told:
            told.bind(str(address))
            self.child = run_process(
                [sys.executable, "-m", "rollout_coordinator"],
                self._directory,
                {
                    "FLEETWARD_NATS_URL": self._system.url,
                    "FLEETWARD_CREDENTIALS": str(self._system.credentials(Principal.COORDINATOR)),
                    "FLEETWARD_SIGNING_KEY": str(self._key),
                    "FLEETWARD_TRACES_DIR": str(self._directory / "traces"),
                    "NOTIFY_SOCKET": str(address),
                },
            )
            async with asyncio.timeout(READY_TIMEOUT_S):
                loop = asyncio.get_running_loop()
                assert await loop.sock_recv(told, 100) == b"READY=1", self.log()

    async def kill(self) -> None:
        """kill -9, in the middle of whatever it does."""
        assert self.child is not None
        self.child.send(signal.SIGKILL)
        await self.child.wait()

    async def stop(self) -> int:
        """Ask it to stop; its exit status."""
        assert self.child is not None
        return (await self.child.stop(10.0)).status

    def log(self) -> str:
        """Everything it wrote."""
        log = self._directory / "log"
        return log.read_text() if log.exists() else ""


def signing_key(directory: Path) -> Path:
    """A new key for targets, its public half trusted by whoever reads ``directory``/trust."""
    trust = directory / "trust"
    trust.mkdir(parents=True)
    path = directory / "target.seed"
    SigningKey.create(path).publish(trust, TARGET)
    return path
