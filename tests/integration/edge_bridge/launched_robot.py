"""A robot whose bridge is started by the real launcher; the test is the service manager."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.robots import ActivationFailed, ModelActivated
from fleetward.releases.launch import Place
from tests.integration.edge_bridge.fleet import Fleet
from tests.integration.edge_slots import tiny_models


class Robot:
    """A machine whose service manager starts the launcher again and again."""

    def __init__(
        self,
        fleet: Fleet,
        enrolled: Path,
        launcher: Path,
        trial_s: float,
        state: Path | None = None,
    ) -> None:
        self.fleet = fleet
        self._trial_s = trial_s
        self._state = state or fleet.settings().state_dir
        self.place = Place(self._state)
        self.starts = 0
        self.kill_at: set[str] = set()
        """Steps that kill the bridge as they begin, each once."""
        self._argv = [
            *(str(enrolled / "bin/python"), "-IS", str(launcher)),
            *(str(self._state), str(enrolled)),
        ]
        self.process: asyncio.subprocess.Process
        self._running = asyncio.ensure_future(self._run())

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def runs(self) -> str:
        """The program that the process is now."""
        return Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")[0].decode()

    async def _run(self) -> None:
        while True:
            self.process = await asyncio.create_subprocess_exec(
                *self._argv, env=self.environment(), stderr=asyncio.subprocess.PIPE
            )
            self.starts += 1
            await self._listen(self.process)
            await self.process.wait()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await process.stderr.readline():
            with (self.fleet.directory / "bridge.log").open("ab") as log:
                log.write(line)
            step = _event(line)
            if step in self.kill_at:
                self.kill_at.discard(step)
                process.send_signal(signal.SIGKILL)
                return

    async def stop(self) -> None:
        self._running.cancel()
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()

    async def activated(self, wanted: StagedModel) -> ModelActivated:
        return await self.fleet.hears(ModelActivated, lambda fact: fact.digest == wanted.digest)

    async def failed(self, generation: int) -> ActivationFailed:
        return await self.fleet.hears(ActivationFailed, lambda fact: fact.generation == generation)

    def environment(self) -> dict[str, str]:
        """What the service manager tells it."""
        told = self.fleet.environment(self._state, tiny_models.SIDE_PX)
        return {**told, "PATH": os.environ["PATH"], "FLEETWARD_TRIAL_S": str(self._trial_s)}


def _event(line: bytes) -> str:
    try:
        return str(json.loads(line).get("event", ""))
    except ValueError:
        return ""
