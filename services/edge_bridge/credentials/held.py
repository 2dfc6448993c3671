"""Which credentials a robot holds, which it shows first, and what it does about them next. Pure.

The order of the steps is what keeps a robot from ever holding none that works: the next key is on the disk
before anybody hears of it, the next credentials are there before they are shown, and the old ones go when
the hub has said that the new ones are those that count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from msgspec import Struct

from fleetward.contracts.robot_keys import CREDENTIAL_DAYS, RENEWAL_SHARE, SPREAD_SHARE
from fleetward.trust.nats_jwt import KeyPair, claims_of

_HASH_END = 2**32


class Credential(Struct, frozen=True, dict=True):
    """token: a JWT. seed: of the key that it is made out to, a secret."""

    token: str
    seed: bytes

    def __repr__(self) -> str:
        return f"Credential({self.key.public})"

    @cached_property
    def key(self) -> KeyPair:
        """The key."""
        return KeyPair(self.seed)

    @property
    def issued_at(self) -> datetime:
        """By the issuer's clock."""
        return _at(self._claims["iat"])

    @property
    def ends_at(self) -> datetime | None:
        """None: never."""
        return _at(self._claims["exp"]) if "exp" in self._claims else None

    @property
    def due_at(self) -> datetime:
        """When it is to be renewed; each at a time of its own, so that a fleet does not ask at once.

        One that never ends is renewed like one that was issued for the usual time.
        """
        ends_at = self.ends_at or self.issued_at + timedelta(days=CREDENTIAL_DAYS)
        share = RENEWAL_SHARE + SPREAD_SHARE * _place(self.key.public)
        return self.issued_at + share * (ends_at - self.issued_at)

    def life_left(self, hub_now: datetime) -> float | None:
        """As a share of all of it, 0 when it ended; None: it never ends."""
        if self.ends_at is None:
            return None
        return max(0.0, (self.ends_at - hub_now) / (self.ends_at - self.issued_at))

    @cached_property
    def _claims(self) -> Mapping[str, Any]:  # another project's format
        return claims_of(self.token)


class Next(Struct, frozen=True):
    """A key that is to be the robot's next; token empty: it was not asked for yet, or not answered."""

    seed: bytes
    token: str = ""

    def __repr__(self) -> str:
        return f"Next({self.key.public})"

    @property
    def key(self) -> KeyPair:
        """The key."""
        return KeyPair(self.seed)

    @property
    def credential(self) -> Credential | None:
        """What it may be shown with."""
        return Credential(self.token, self.seed) if self.token else None


class Held(Struct, frozen=True, kw_only=True):
    """Everything a robot has. enrolled None: nothing readable lies where enrolment puts it."""

    enrolled: Credential | None
    renewed: Credential | None = None
    next: Next | None = None

    @property
    def current(self) -> Credential | None:
        """What counts at the hub until the next was confirmed."""
        return self.renewed or self.enrolled

    @property
    def shown(self) -> tuple[Credential, ...]:
        """What to try to be let in with, in this order."""
        coming = self.next.credential if self.next is not None else None
        return tuple(each for each in (coming, self.renewed, self.enrolled) if each is not None)


class Wait(Struct, frozen=True):
    """Nothing is to be done before ``until``; None: not before somebody enrols the robot."""

    until: datetime | None


class MakeKey(Struct, frozen=True):
    """Have a next key on the disk."""


class Ask(Struct, frozen=True):
    """Ask the hub for credentials of the next key."""

    key: Credential
    next: Next


class Confirm(Struct, frozen=True):
    """Be let in with the next credentials, say so, and let them be the current ones."""

    next: Credential


class Forget(Struct, frozen=True):
    """What was to be next is the current one already, or of no use any more."""


Step = Wait | MakeKey | Ask | Confirm | Forget


def step(held: Held, hub_now: datetime) -> Step:
    """What is to be done now, by the hub's clock."""
    current = held.current
    if current is None:
        return Wait(None)
    if held.next is None:
        return MakeKey() if hub_now >= current.due_at else Wait(current.due_at)
    coming = held.next.credential
    if held.next.seed == current.seed:
        return Forget()
    if coming is None:
        return Ask(current, held.next)
    if coming.ends_at is not None and coming.ends_at <= hub_now:
        return Forget()
    return Confirm(coming)


def _place(public: str) -> float:
    """Somewhere from 0 to 1, the same for a key whenever it is asked."""
    return int.from_bytes(hashlib.sha256(public.encode("ascii")).digest()[:4], "big") / _HASH_END


def _at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
