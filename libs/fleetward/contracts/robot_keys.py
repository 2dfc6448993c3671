"""The keys by which a robot is known, each in the place of the one before, and how it gets the next."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import RobotId

CREDENTIAL_DAYS = 90.0
"""How long a robot's credentials last, unless another time is set."""
RENEWAL_SHARE = 0.5
"""Of their life, after which they are renewed: a robot may be away for nearly all the rest of it."""
SPREAD_SHARE = 1 / 12
"""Of their life, over which robots that were enrolled together spread their renewals."""
KEYS_KEPT = 32
"""Of one robot; what it signed with older ones is believed no more."""


class RobotKey(Struct, frozen=True, kw_only=True):
    """public_key: an nkey. expires_at None: its credentials never end. retired_at: it counts no more
    since then, because another took its place."""

    public_key: str
    issued_at: UtcTime
    expires_at: UtcTime | None = None
    retired_at: UtcTime | None = None


class RobotKeysChanged(Event, frozen=True, kw_only=True):
    """All keys of a robot since it was enrolled with ``enrolled_key``, oldest first.

    current: the one that it proved last to hold. A newer one without ``retired_at`` was issued and not
    proved yet. closed_at: since then none of them counts, and nothing is issued after them: an operator
    voided them all. They say nothing of a robot whose ``RobotEnrolled.public_key`` is another.
    """

    robot_id: RobotId
    enrolled_key: str
    keys: tuple[RobotKey, ...]
    current: str
    closed_at: UtcTime | None = None
    changed_at: UtcTime

    def key(self, public_key: str) -> RobotKey | None:
        """One of them."""
        return next((key for key in self.keys if key.public_key == public_key), None)


class Renewal(Struct, frozen=True, kw_only=True):
    """What a robot signs, with both keys, to be known by ``next_key`` too."""

    robot_id: RobotId
    key: str
    next_key: str


class RenewCredentials(Event, frozen=True, kw_only=True):
    """A robot asks for credentials of a key that it made itself.

    payload: msgpack of Renewal. signature: of ``key``, so it is the robot that asks; next_signature: of
    ``next_key``, so it holds what it asks for. Both Ed25519, 64 bytes.
    """

    robot_id: RobotId
    payload: bytes
    signature: bytes
    next_signature: bytes


class CredentialsRenewed(Event, frozen=True, kw_only=True):
    """token: the JWT of the next key; the same again for the same question. The old ones still count."""

    token: str
    expires_at: UtcTime


class Confirmation(Struct, frozen=True, kw_only=True):
    """What a robot signs with ``key`` when the bus has let it in with it."""

    robot_id: RobotId
    key: str


class ConfirmCredentials(Event, frozen=True, kw_only=True):
    """A robot lives by its next key, and the one before may be voided. payload: msgpack of Confirmation."""

    robot_id: RobotId
    payload: bytes
    signature: bytes


class CredentialsConfirmed(Event, frozen=True, kw_only=True):
    """Only ``key`` counts from now on."""

    key: str


def is_believed(
    enrolled_key: str, known: RobotKeysChanged | None, public_key: str, at: datetime
) -> bool:
    """Whether ``public_key`` was one of the robot's when something that it signed was stored."""
    if not enrolled_key:
        return False
    if known is None or known.enrolled_key != enrolled_key:
        return public_key == enrolled_key
    key = known.key(public_key)
    if key is None or known.closed_at is not None:
        return False
    return key.retired_at is None or at <= key.retired_at
