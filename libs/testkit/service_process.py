"""A service of ours as its own process: awaited until it says it is ready, killed, started again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fleetward.local.child import Child, Command, Launch
from fleetward.local.readiness import Notified
from testkit import forked
from testkit.servers import up_before_exit

LOG_TIMEOUT_S = 60.0
STOP_GRACE_S = 10.0


class EndedEarlyError(Exception):
    """A service ended before it was ready: a supervisor would start it again."""


class ServiceProcess:
    """``python -m <module>``; it cannot outlive the test run. Its output goes to ``directory``/log.

    launch: what is measured is started with ``Child.start``, as people start it.
    """

    def __init__(
        self,
        module: str,
        directory: Path,
        environment: Mapping[str, str],
        launch: Launch = forked.launch,
    ) -> None:
        self._module = module
        self._directory = directory
        self._environment = environment
        self._launch = launch
        self.child: Child | None = None

    async def start(self) -> None:
        """Start it and wait until it is ready; raises EndedEarlyError, and TimeoutError."""
        notified = Notified()
        self._directory.mkdir(parents=True, exist_ok=True)
        self.child = self._launch(
            Command(
                name=self._module,
                arguments=[sys.executable, "-m", self._module],
                environment={**self._environment, **notified.environment()},
                directory=self._directory,
                log=self._directory / "log",
            )
        )
        try:
            if not await up_before_exit(self.child, notified.ready()):
                raise EndedEarlyError(f"{self._module} ended before it was ready:\n{self.log()}")
        except TimeoutError as error:
            raise TimeoutError(f"{self._module} was never ready:\n{self.log()}") from error

    async def kill(self) -> None:
        """kill -9, in the middle of whatever it does."""
        assert self.child is not None
        self.child.send(signal.SIGKILL)
        await self.child.wait()

    async def stop(self) -> int:
        """Ask it to stop, unless it ended already; its exit status."""
        assert self.child is not None
        return (await self.child.stop(STOP_GRACE_S)).status

    def log(self) -> str:
        """Everything it wrote."""
        log = self._directory / "log"
        return log.read_text() if log.exists() else ""

    async def logged(self, event: str) -> dict[str, Any]:  # Any: a log line's fields
        """Wait until ``event`` stands in the log; returns its line."""
        async with asyncio.timeout(LOG_TIMEOUT_S):
            while True:
                for line in self.log().splitlines():
                    if f'"event": "{event}"' in line:
                        fields: dict[str, Any] = json.loads(line)
                        return fields
                await asyncio.sleep(0.05)  # a log file has nothing to wait on
