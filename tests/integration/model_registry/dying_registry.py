"""A registry that dies where a test wants it to, and comes back at once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from testkit.service_process import ServiceProcess


class DyingRegistry:
    """A registry process whose way to the store kills it -9 before the request it is told of."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._environment = environment
        self._directory = directory
        self._fatal = ""
        self._is_killed = False
        self._dead = asyncio.Event()

    async def start(self, endpoint: str) -> None:
        """Start it, with its store at ``endpoint``."""
        environment = {**self._environment, "FLEETWARD_S3_ENDPOINT": endpoint}
        self._process = ServiceProcess("model_registry", self._directory, environment)
        self._fatal, self._is_killed = "", False
        await self._process.start()

    async def heard(self, request: str) -> None:
        """Let a request pass, or nothing any more."""
        if self._fatal and request.startswith(self._fatal):
            if not self._is_killed:
                self._is_killed = True
                await self._process.kill()
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
        await self._process.stop()
