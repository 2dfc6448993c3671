"""Engines that robots build and offer to their twins, the robots of the same hardware.

The hub carries them and trusts none: their files are sealed with a key that only the twins have.
"""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import Digest, RobotId

ENGINES_PREFIX = "engines/"
MAX_ENGINE_BYTES = 4 * 1024**3
OFFERS_LISTED = 8
"""So many offers of one engine are told, the newest first."""


class EngineOffer(Struct, frozen=True, kw_only=True):
    """A sealed file with an engine in it.

    engine: all that the engine depends on, hashed (``EngineKey.name``). model: the ONNX model it is made
    of. pool: tells the twins' keys from each other, and says nothing else of one. digest, size_bytes: of
    the file.
    """

    robot_id: RobotId
    engine: Digest
    model: Digest
    pool: str
    digest: Digest
    size_bytes: int
    offered_at: UtcTime


class EngineOfferSigned(Struct, frozen=True, kw_only=True):
    """An ``EngineOffer`` as its robot signed it. payload: the offer, encoded. key: the robot's public one."""

    robot_id: RobotId
    payload: bytes
    key: str
    signature: bytes


class EngineOffered(Event, frozen=True, kw_only=True):
    """A robot's engine lies in the store, and the robot signed for it."""

    robot_id: RobotId
    engine: Digest
    signed: EngineOfferSigned
    stored_at: UtcTime


class GrantEngine(Event, frozen=True, kw_only=True):
    """A robot asks where to put the parts of an engine. Answered as ``GrantUpload`` is."""

    robot_id: RobotId
    signed: EngineOfferSigned
    upload_id: str = ""


class KeepEngine(Event, frozen=True, kw_only=True):
    """Every part was sent: make it one object, and tell twins of it. part_md5s: as of ``KeepSegment``."""

    robot_id: RobotId
    signed: EngineOfferSigned
    upload_id: str
    part_md5s: tuple[str, ...] = ()


class EngineKept(Event, frozen=True, kw_only=True):
    """Twins find it now."""

    robot_id: RobotId
    engine: Digest


class FindEngine(Event, frozen=True, kw_only=True):
    """A robot that needs this engine asks who of its pool built it. builders: whose it would take; none:
    anybody's."""

    robot_id: RobotId
    engine: Digest
    pool: str
    builders: tuple[RobotId, ...] = ()


class EngineLink(Struct, frozen=True, kw_only=True):
    """Where one offer can be fetched."""

    offer: EngineOffer
    url: str


class EnginesFound(Event, frozen=True, kw_only=True):
    """The newest offers first, at most ``OFFERS_LISTED``; the links end at ``expires_at``."""

    offers: tuple[EngineLink, ...]
    expires_at: UtcTime
