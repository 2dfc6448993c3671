"""A registry that dies where a test wants it to, and comes back at once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from fleetward.local.readiness import Notified
from testkit.service_process import READY_TIMEOUT_S

_IMPORTED_ONCE = """
import ctypes, json, os, signal, sys
from model_registry.__main__ import main

for environment in sys.stdin:
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # it dies with this one
        os.environ.update(json.loads(environment))
        os._exit(main())
    print(child, flush=True)
    os.waitpid(child, 0)
    print("gone", flush=True)
"""


class DyingRegistry:
    """A registry whose way to the store kills it -9 before the request it is told of.

    Each is a process of its own, forked from one that has everything imported: a start would
    otherwise take most of such a test.
    """

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._fatal = ""
        self._is_killed = False
        self._dead = asyncio.Event()
        self._imported: asyncio.subprocess.Process | None = None
        self._pid = 0

    async def start(self, endpoint: str) -> None:
        """Start it, with its store at ``endpoint``."""
        notified = Notified()
        environment = {
            **self._environment,
            "FLEETWARD_S3_ENDPOINT": endpoint,
            **notified.environment(),
        }
        self._fatal, self._is_killed = "", False
        self._pid = int(await self._say(json.dumps(environment)))
        async with asyncio.timeout(READY_TIMEOUT_S):
            await notified.ready()

    async def heard(self, request: str) -> None:
        """Let a request pass, or nothing any more."""
        if self._fatal and request.startswith(self._fatal):
            if not self._is_killed:
                self._is_killed = True
                await self._end(signal.SIGKILL)
                self._dead.set()
            raise ConnectionError("killed")

    async def die_of(self, request: str, work: Coroutine[Any, Any, object]) -> None:
        """Have ``work`` done by the registry until it dies of ``request``."""
        self._fatal = request
        self._dead.clear()
        asked = asyncio.ensure_future(work)
        await asyncio.wait_for(self._dead.wait(), 60.0)
        asked.cancel()

    async def stop(self) -> None:
        """Stop it."""
        await self._end(signal.SIGTERM)
        assert self._imported is not None
        self._imported.kill()
        await self._imported.wait()

    async def _end(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)
        assert self._imported is not None
        assert self._imported.stdout is not None
        assert await self._imported.stdout.readline() == b"gone\n"

    async def _say(self, line: str) -> bytes:
        if self._imported is None:
            self._imported = await self._forker()
        assert self._imported.stdin is not None
        assert self._imported.stdout is not None
        self._imported.stdin.write(line.encode() + b"\n")
        return await self._imported.stdout.readline()

    async def _forker(self) -> asyncio.subprocess.Process:
        with (self._directory / "log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", _IMPORTED_ONCE),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                cwd=self._directory,
            )
