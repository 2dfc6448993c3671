"""Fetches the file of an engine that a twin offers; whether its engine may run, the worker decides."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from edge_bridge.backends.engine_key import TwinsKeyError, pool_of, twins_key
from edge_bridge.backends.engine_settings import ANYBODY, EngineSettings, TwinSettings
from edge_bridge.converging.interrupting import to_its_end
from edge_bridge.errors import BridgeError, TransientError
from edge_bridge.fetching.throttle import Throttle
from edge_bridge.link import Link
from edge_bridge.shipping.asking import asked
from edge_bridge.workers.protocol import Offered
from fleetward.bus.logs import log
from fleetward.contracts.engines import MAX_ENGINE_BYTES, EngineLink, EnginesFound, FindEngine
from fleetward.contracts.ids import Digest, RobotId

if TYPE_CHECKING:
    import aiohttp

_logger = logging.getLogger(__name__)

_BLOCK_BYTES = 1024 * 1024
_STALL_S = 30.0
_OK = 200
FOUND = ".twin"


class EngineFinder:
    """Asks the registry, and tries each offer that it names, the newest first."""

    def __init__(
        self,
        engines: EngineSettings,
        twins: TwinSettings,
        link: Link,
        session: Callable[[], aiohttp.ClientSession],
        throttle: Throttle,
    ) -> None:
        """Forgets what an earlier bridge fetched and no worker read."""
        self._twins = twins
        self._directory = Path(engines.directory)
        self._reserve_bytes = engines.reserve_bytes
        self._link = link
        self._session = session
        self._throttle = throttle
        for path in self._directory.glob(f"*{FOUND}"):
            path.unlink(missing_ok=True)

    async def find(self, engine: str) -> Offered:
        """Within ``patience_s``; an engine that is not found is built, so nothing is raised."""
        if not self._link.is_up:
            return Offered()
        try:
            return await asyncio.wait_for(self._found(Digest(engine)), self._twins.patience_s)
        except asyncio.TimeoutError:
            reason = f"it was not here after {self._twins.patience_s:g} s"
        except (BridgeError, OSError, TwinsKeyError) as problem:
            reason = str(problem)
        log(_logger, "twins.no_engine", level=logging.WARNING, engine=engine, reason=reason)
        return Offered()

    async def _found(self, engine: Digest) -> Offered:
        named = () if ANYBODY in self._twins.builders else self._twins.builders
        found: EnginesFound = await asked(
            self._link,
            FindEngine(
                robot_id=self._twins.robot_id,
                engine=engine,
                pool=pool_of(twins_key(Path(self._twins.key))),
                builders=tuple(map(RobotId, named)),
            ),
        )
        for offer in found.offers:
            try:
                return await self._fetched(offer)
            except (BridgeError, OSError) as problem:
                builder, reason = offer.offer.robot_id, str(problem)
                log(_logger, "twins.unfetched", level=logging.WARNING, builder=builder, why=reason)
        return Offered()

    async def _fetched(self, link: EngineLink) -> Offered:
        """Raises TransientError, OSError."""
        offer = link.offer
        free_bytes = shutil.disk_usage(self._directory).free - self._reserve_bytes
        if not 0 < offer.size_bytes <= min(MAX_ENGINE_BYTES, free_bytes):
            raise TransientError(
                f"{offer.size_bytes} bytes are too many: {free_bytes} are free beside the reserve."
            )
        path = self._directory / f"{offer.engine.partition(':')[2]}{FOUND}"
        try:
            digest = await self._download(link.url, path, offer.size_bytes)
            if digest != offer.digest:
                raise TransientError(f"what came is {digest}, not {offer.digest}.")
        except BaseException:
            await to_its_end(asyncio.to_thread(path.unlink, missing_ok=True))  # gigabytes, perhaps
            raise
        log(_logger, "twins.fetched", builder=offer.robot_id, bytes=offer.size_bytes)
        return Offered(path=str(path), builder=offer.robot_id)

    async def _download(self, url: str, path: Path, size_bytes: int) -> Digest:
        """Stops at the first byte too many."""
        import aiohttp

        hasher, arrived_bytes = hashlib.sha256(), 0
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_STALL_S, sock_connect=_STALL_S)
        try:
            async with self._session().get(url, timeout=timeout) as answer:
                if answer.status != _OK:
                    raise TransientError(f"the store answered {answer.status}.")
                async for block in answer.content.iter_chunked(_BLOCK_BYTES):
                    arrived_bytes += len(block)
                    if arrived_bytes > size_bytes:
                        raise TransientError(f"more than {size_bytes} bytes came.")
                    await self._throttle.take(len(block))
                    await asyncio.to_thread(_keep, descriptor, block, hasher)
        except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
            raise TransientError(f"it was not fetched: {problem!r}.") from problem
        finally:
            with suppress(OSError):
                os.close(descriptor)
        return Digest(f"sha256:{hasher.hexdigest()}")


def _keep(descriptor: int, block: bytes, hasher: hashlib._Hash) -> None:
    hasher.update(block)
    view = memoryview(block)
    while view:
        view = view[os.write(descriptor, view) :]
