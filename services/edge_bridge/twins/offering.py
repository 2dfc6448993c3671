"""Sends engines that were built here to where twins find them; one that was not sent waits on the disk."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from edge_bridge.backends.engine_cache import OFFER
from edge_bridge.backends.engine_key import TwinsKeyError, pool_of, twins_key
from edge_bridge.backends.engine_settings import TwinSettings
from edge_bridge.credentials.keyring import Keyring, NoCredentialsError
from edge_bridge.errors import BridgeError, TransientError
from edge_bridge.link import Link
from edge_bridge.shipping.asking import UploadRefusedError, asked
from edge_bridge.shipping.fingerprint import fingerprint
from edge_bridge.shipping.limits import ShippingLimits
from edge_bridge.shipping.parts import PartSender, parts_of
from fleetward.bus.backoff import pause_s
from fleetward.bus.logs import log
from fleetward.contracts.engines import (
    EngineOffer,
    EngineOfferSigned,
    GrantEngine,
    KeepEngine,
)
from fleetward.contracts.ids import Digest
from fleetward.contracts.recordings import UploadGranted
from fleetward.trust.engine_offers import signed_offer

_logger = logging.getLogger(__name__)

_NAME = re.compile(rf"[0-9a-f]{{64}}\.[0-9a-f]{{64}}{re.escape(OFFER)}")

Sign = Callable[[EngineOffer], EngineOfferSigned]
"""With the key of the robot's credentials; raises BridgeError when there is none to sign with."""


def offer_signer(keyring: Keyring) -> Sign:
    """Signs with the key that the robot is known by at that time."""

    def sign(offer: EngineOffer) -> EngineOfferSigned:
        try:
            return signed_offer(offer, keyring.signing_key)
        except NoCredentialsError as problem:
            raise TransientError(f"no offer can be signed: {problem}") from problem

    return sign


class EngineOffers:
    """One file after the other. What a kill cut off is sent from its beginning."""

    def __init__(
        self,
        twins: TwinSettings,
        directory: Path,
        link: Link,
        parts: PartSender,
        sign: Sign,
        limits: ShippingLimits,
    ) -> None:
        self._robot_id = twins.robot_id
        self._key = Path(twins.key)
        self._directory = directory
        self._link = link
        self._parts = parts
        self._sign = sign
        self._limits = limits
        self._fresh = asyncio.Event()

    def loaded(self) -> None:
        """A worker may have left an engine."""
        self._fresh.set()

    async def run(self) -> None:
        """For ever; what goes wrong is tried again, later and later."""
        failures = 0
        while True:
            self._fresh.clear()
            path = await asyncio.to_thread(self._oldest)
            if path is None:
                await self._fresh.wait()
                continue
            try:
                await self._send(path)
                failures = 0
            except FileNotFoundError:
                continue  # newer engines took its place meanwhile
            except (BridgeError, OSError, TwinsKeyError) as problem:
                failures += 1
                why = str(problem)
                log(_logger, "twins.unsent", level=logging.WARNING, file=path.name, why=why)
                await asyncio.sleep(
                    pause_s(failures, self._limits.retry_wait_s, self._limits.retry_wait_limit_s)
                )

    def _oldest(self) -> Path | None:
        """Newer engines may take the place of those that wait, at any moment."""
        waiting: list[tuple[int, Path]] = []
        for path in self._directory.glob(f"*{OFFER}"):
            if _NAME.fullmatch(path.name):
                with suppress(FileNotFoundError):
                    waiting.append((path.stat().st_mtime_ns, path))
        return min(waiting)[1] if waiting else None

    async def _send(self, path: Path) -> None:
        """Raises FileNotFoundError, TransientError, OSError; what is refused for good is given up."""
        taken = await asyncio.to_thread(fingerprint, path)
        engine, model = path.name.removesuffix(OFFER).split(".")
        signed = self._sign(
            EngineOffer(
                robot_id=self._robot_id,
                engine=Digest(f"sha256:{engine}"),
                model=Digest(f"sha256:{model}"),
                pool=pool_of(twins_key(self._key)),
                digest=taken.digest,
                size_bytes=taken.size_bytes,
                offered_at=datetime.now(timezone.utc),
            )
        )
        try:
            await self._put(path, signed, taken.size_bytes, taken.part_md5s)
        except UploadRefusedError as problem:
            log(_logger, "twins.refused", level=logging.ERROR, file=path.name, why=str(problem))
        else:
            log(_logger, "twins.offered", engine=engine, bytes=taken.size_bytes)
        await asyncio.to_thread(path.unlink, missing_ok=True)  # gigabytes, perhaps

    async def _put(
        self, path: Path, signed: EngineOfferSigned, size_bytes: int, part_md5s: tuple[str, ...]
    ) -> None:
        granted: UploadGranted = await asked(
            self._link, GrantEngine(robot_id=self._robot_id, signed=signed)
        )
        for part in parts_of(granted.urls, granted.part_bytes, size_bytes):
            await self._parts.send(path, part)
        keep = KeepEngine(
            robot_id=self._robot_id,
            signed=signed,
            upload_id=granted.upload_id,
            part_md5s=part_md5s,
        )
        await asked(self._link, keep)
