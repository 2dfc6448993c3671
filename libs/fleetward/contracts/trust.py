"""What is said of who may be believed: roots, the roles they name, and the proof that it is new."""

from __future__ import annotations

from typing import Annotated, NewType

from msgspec import Meta, Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import ModelName, RobotId

NONCE_BYTES = 16

ROLE_PATTERN = r"\A(?:targets|snapshot|timestamp|model-[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?)\Z"
RoleName = NewType("RoleName", Annotated[str, Meta(pattern=ROLE_PATTERN)])
"""A role that the registry signs: targets, snapshot, timestamp, or ``model-<name>``."""


class RootPublished(Event, frozen=True, kw_only=True):
    """One version of the root. metadata: TUF JSON, signed by the keys of this version and the last."""

    version: int
    metadata: bytes


class RoleSigned(Event, frozen=True, kw_only=True):
    """A role's newest metadata. metadata: TUF JSON; believe it only through its signatures."""

    role: RoleName
    version: int
    metadata: bytes


class Freshness(Struct, frozen=True, kw_only=True):
    """What the registry signs with its timestamp key when a robot asks: it is now, not yesterday."""

    robot_id: RobotId
    nonce: bytes
    """The robot's own random bytes, so that an older answer is none."""
    timestamp_version: int
    at: UtcTime
    labels: dict[str, str] | None = None
    """Those that the robot is enrolled with; None: it did not ask, or nobody enrolled it."""


class SignedFreshness(Struct, frozen=True, kw_only=True):
    """payload: msgpack of Freshness. signature: Ed25519, 64 bytes."""

    payload: bytes
    key_id: str
    signature: bytes


class RefreshTrust(Event, frozen=True, kw_only=True):
    """A robot asks what is to be believed now.

    root_version: the newest root it follows. held: role -> version it has already, which need not
    travel again. model: whose versions it wants listed. labels: whether it wants to be told its own.
    """

    robot_id: RobotId
    nonce: bytes
    root_version: int
    held: dict[RoleName, int] = {}
    model: ModelName | None = None
    labels: bool = False


class TrustRefreshed(Event, frozen=True, kw_only=True):
    """The roots after the robot's own, oldest first; the roles it does not have; and the proof.

    roles: role -> TUF JSON; timestamp is always there.
    """

    roots: tuple[bytes, ...] = ()
    roles: dict[RoleName, bytes] = {}
    proof: SignedFreshness


class PublishRoot(Event, frozen=True, kw_only=True):
    """Somebody hands in the next root, fully signed; the registry follows it and signs anew."""

    metadata: bytes
