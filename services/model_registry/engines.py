"""Carries engines between robots of the same hardware: signed for by who built them, opened by twins alone.

Nothing here can make an engine that a robot would run: their files are sealed with a key of the twins.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robot
from fleetward.bus.last_values import Value, last_value, last_values
from fleetward.bus.publish import publish
from fleetward.bus.requests import answer
from fleetward.contracts.engines import (
    ENGINES_PREFIX,
    MAX_ENGINE_BYTES,
    OFFERS_LISTED,
    EngineKept,
    EngineLink,
    EngineOffer,
    EngineOffered,
    EngineOfferSigned,
    EnginesFound,
    FindEngine,
    GrantEngine,
    KeepEngine,
)
from fleetward.contracts.recordings import UploadGranted
from fleetward.contracts.robot_keys import RobotKeysChanged, is_believed
from fleetward.trust.engine_offers import offer_in
from fleetward.trust.signing import SignatureError
from model_registry.errors import EngineRefusedError
from model_registry.part_uploads import PartUploads, Whole
from model_registry.recording_objects import RecordingObjects


class Engines:
    """Answers robots that offer engines, and those that look for one."""

    def __init__(
        self,
        connection: Client,
        objects: RecordingObjects,
        uploads: PartUploads,
        limit_bytes: int,
        now: Callable[[], datetime],
    ) -> None:
        """``limit_bytes``: what the engines of one robot may take of the store."""
        self._connection = connection
        self._objects = objects
        self._uploads = uploads
        self._limit_bytes = limit_bytes
        self._now = now

    async def answer(self) -> None:
        """Answer from now on."""
        await answer(self._connection, GrantEngine, self.grant)
        await answer(self._connection, KeepEngine, self.keep)
        await answer(self._connection, FindEngine, self.find)

    async def grant(self, request: GrantEngine) -> UploadGranted:
        """Links to what has not arrived; raises EngineRefusedError."""
        offer = await self._own(request)
        return await self._uploads.grant(_prefix(offer), _whole(offer), request.upload_id)

    async def keep(self, request: KeepEngine) -> EngineKept:
        """Put the parts together once, and tell twins; raises EngineRefusedError."""
        offer = await self._own(request)
        await self._uploads.keep(_whole(offer), request.upload_id, request.part_md5s)
        await publish(
            self._connection,
            EngineOffered(
                robot_id=offer.robot_id,
                engine=offer.engine,
                signed=request.signed,
                stored_at=self._now(),
            ),
            message_id=f"engine-{offer.robot_id}-{offer.digest}",
        )
        await self._objects.keep_within(_prefix(offer), self._limit_bytes)
        return EngineKept(robot_id=offer.robot_id, engine=offer.engine)

    async def find(self, request: FindEngine) -> EnginesFound:
        """The newest first, of robots that are of the fleet and signed with a key that counts."""
        values = await last_values(self._connection, EngineOffered, engine=request.engine)
        values.sort(key=lambda value: value.event.stored_at, reverse=True)
        links: list[EngineLink] = []
        for value in values:
            builder = value.event.robot_id
            if request.builders and builder not in request.builders:
                continue
            link = await self._link(value)
            if link is not None and link.offer.pool == request.pool:
                links.append(link)
            if len(links) == OFFERS_LISTED:
                break
        return EnginesFound(offers=tuple(links), expires_at=self._uploads.expiry())

    async def _link(self, value: Value[EngineOffered]) -> EngineLink | None:
        try:
            offer = await self._signed_by_robot(value.event.signed, value.event.stored_at)
        except EngineRefusedError:
            return None  # its builder left the fleet, or its key was voided, since
        key = _whole(offer).key
        if await self._objects.seen(key) is None:
            return None
        return EngineLink(offer=offer, url=await self._objects.link(key))

    async def _own(self, request: GrantEngine | KeepEngine) -> EngineOffer:
        offer = await self._signed_by_robot(request.signed, self._now())
        if offer.robot_id != request.robot_id:
            raise EngineRefusedError(f"{request.robot_id} shows what {offer.robot_id} offers.")
        if not 0 < offer.size_bytes <= MAX_ENGINE_BYTES:
            raise EngineRefusedError(
                f"the engine of {offer.robot_id} is {offer.size_bytes} bytes; engines have 1 to "
                f"{MAX_ENGINE_BYTES}."
            )
        return offer

    async def _signed_by_robot(self, signed: EngineOfferSigned, at: datetime) -> EngineOffer:
        """With a key that was the robot's then and was not voided since; raises EngineRefusedError."""
        robot = await enrolled_robot(self._connection, signed.robot_id)
        enrolled_key = robot.event.public_key if robot else ""
        changed = await last_value(self._connection, RobotKeysChanged, robot_id=signed.robot_id)
        if not is_believed(enrolled_key, changed.event if changed else None, signed.key, at):
            raise EngineRefusedError(
                f"the engine of {signed.robot_id} is signed with {signed.key}, which is no key of it."
            )
        try:
            return offer_in(signed)
        except SignatureError as problem:
            raise EngineRefusedError(str(problem)) from problem


def _prefix(offer: EngineOffer) -> str:
    """The place of one robot's engines."""
    return f"{ENGINES_PREFIX}{offer.robot_id}/"


def _whole(offer: EngineOffer) -> Whole:
    """What is to lie in the store, under a name that says what the bytes are."""
    engine, file = (name.removeprefix("sha256:") for name in (offer.engine, offer.digest))
    key = f"{_prefix(offer)}{engine}-{file}"
    return Whole(key=key, digest=offer.digest, size_bytes=offer.size_bytes)
