"""How the next root differs from this one: keys that come, keys that go, how many must sign."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from fleetward.trust.errors import RootRefusedError
from fleetward.trust.metadata_keys import metadata_key_id
from fleetward.trust.roles import ROOT
from fleetward.trust.roots import NAMED_ROLES, RootPlan

SHOWN_ID_CHARACTERS = 16
"""Of a key's id, in what people read and type; the beginning is enough to tell keys apart."""


class Addition(Struct, frozen=True):
    """A key of 32 bytes that a role gets."""

    role: str
    public_bytes: bytes


def rotated(
    plan: RootPlan,
    *,
    add: Sequence[Addition],
    remove: Sequence[str],
    threshold: int | None,
    expires: datetime,
) -> RootPlan:
    """``plan`` with keys added and removed; ``remove`` names keys by the beginning of their ids.

    Raises RootRefusedError for a role or a key that there is not, or a beginning of several.
    """
    keys = {role: list(plan.keys.get(role, ())) for role in NAMED_ROLES}
    for beginning in remove:
        role, key = _named(plan, beginning)
        keys[role].remove(key)
    for addition in add:
        if addition.role not in keys:
            raise RootRefusedError(
                f"there is no role {addition.role!r}. Roles: {', '.join(NAMED_ROLES)}."
            )
        if addition.public_bytes not in keys[addition.role]:
            keys[addition.role].append(addition.public_bytes)
    return RootPlan(
        keys={role: tuple(held) for role, held in keys.items()},
        threshold=plan.threshold if threshold is None else threshold,
        expires=expires,
    )


def shown_id(public_bytes: bytes) -> str:
    """How people name a key."""
    return metadata_key_id(public_bytes)[:SHOWN_ID_CHARACTERS]


def owners(plan: RootPlan) -> list[str]:
    """The ids of the root keys, as people see them."""
    return [shown_id(key) for key in plan.keys[ROOT]]


def _named(plan: RootPlan, beginning: str) -> tuple[str, bytes]:
    found = [
        (role, key)
        for role in NAMED_ROLES
        for key in plan.keys.get(role, ())
        if beginning and metadata_key_id(key).startswith(beginning)
    ]
    if len(found) != 1:
        raise RootRefusedError(
            f"{len(found)} keys of this root begin with {beginning!r}. Name one as fleetward keys "
            "list shows it."
        )
    return found[0]
