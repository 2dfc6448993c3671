"""The root: which keys exist, what each may sign, and how a new root follows an old one.

Made and signed offline, file by file. A root counts once enough of its own keys signed it and, from
version 2 on, enough of the keys of the version before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

from msgspec import Struct
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Role, Root
from tuf.api.serialization.json import JSONSerializer

from fleetward.trust.errors import RootRefusedError
from fleetward.trust.metadata_keys import Ed25519PublicKey, MetadataSigner, use_libsodium
from fleetward.trust.roles import (
    COMMANDS,
    MAX_ROOT_BYTES,
    ONLINE_ROLES,
    ROOT,
    RULES,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    VALID_S,
)
from fleetward.trust.signing import SigningKey

_OWN_FIELDS: Mapping[str, str] = MappingProxyType(
    {COMMANDS: "x-fleetward-commands", RULES: "x-fleetward-rules"}
)
"""Where a root names the keys of the roles that are ours and not TUF's."""

NAMED_ROLES = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP, COMMANDS, RULES)
"""Every role that a root names keys for."""
OPTIONAL_ROLES = frozenset({RULES})
"""Those that it may name none for, as roots did before there was the role."""


class RootPlan(Struct, frozen=True, kw_only=True):
    """What a root shall say. keys: role -> public keys, 32 bytes each, for every role that is not optional.

    threshold: how many root keys must sign; every other role needs one of its keys.
    """

    keys: Mapping[str, tuple[bytes, ...]]
    threshold: int
    expires: datetime


def first_root(plan: RootPlan) -> bytes:
    """Version 1, not yet signed; raises RootRefusedError."""
    return _bytes(Metadata(_root(plan, 1)))


def next_root(current: bytes, plan: RootPlan) -> bytes:
    """The version after ``current``, not yet signed; raises RootRefusedError."""
    return _bytes(Metadata(_root(plan, read_root(current).signed.version + 1)))


def plan_of(root: bytes) -> RootPlan:
    """What a root says, to be changed and planned anew."""
    signed = read_root(root).signed
    return RootPlan(
        keys={
            role: tuple(key.public_bytes for key in keys_of(signed, role)) for role in NAMED_ROLES
        },
        threshold=signed.roles[ROOT].threshold,
        expires=signed.expires,
    )


def sign_root(root: bytes, key: SigningKey) -> bytes:
    """``root`` with one more signature; the signatures it has stay."""
    metadata = read_root(root)
    metadata.sign(MetadataSigner(key), append=True)
    return _bytes(metadata)


def missing_signatures(root: bytes, previous: bytes | None) -> str | None:
    """What keeps ``root`` from counting, in a sentence, or None when it counts.

    ``previous`` None: the root is the first, or is believed because of where it comes from.
    """
    metadata = read_root(root)
    before = read_root(previous).signed if previous is not None else None
    try:
        result = metadata.signed.get_root_verification_result(
            before, metadata.signed_bytes, metadata.signatures
        )
    except ValueError as error:
        return f"it does not follow the root before it: {error}."
    reasons = [
        f"{found.missing} more of {', '.join(sorted(key[:16] for key in found.unsigned))} ({of})"
        for of, found in (("its own keys", result.second), ("the keys before", result.first))
        if found.missing and not (before is None and of == "the keys before")
    ]
    return f"root v{metadata.signed.version} needs {'; and '.join(reasons)}." if reasons else None


def check_chain(roots: Sequence[bytes]) -> None:
    """Raises RootRefusedError unless each root is signed and follows the one before."""
    for before, root in zip((None, *roots), roots, strict=False):
        reason = missing_signatures(root, before)
        if reason is not None:
            raise RootRefusedError(f"this root is refused: {reason} Run fleetward keys sign-root.")


def read_root(root: bytes) -> Metadata[Root]:
    """The root in these bytes, its signatures not looked at; raises RootRefusedError."""
    use_libsodium()
    if len(root) > MAX_ROOT_BYTES:
        raise RootRefusedError(f"a root of {len(root)} bytes is more than {MAX_ROOT_BYTES}.")
    try:
        metadata: Metadata[Root] = Metadata.from_bytes(root)
    except RepositoryError as error:
        raise RootRefusedError(
            f"these {len(root)} bytes are no root: {error.__cause__ or error}."
        ) from error
    if not isinstance(metadata.signed, Root):
        raise RootRefusedError(f"this is {metadata.signed.type} metadata, not a root.")
    return metadata


def keys_of(root: Root, role: str) -> list[Ed25519PublicKey]:
    """The keys that ``root`` names for a role, also for one of ours; raises RootRefusedError."""
    ids = _own_key_ids(root, role) if role in _OWN_FIELDS else root.roles[role].keyids
    found = [root.keys.get(key_id) for key_id in ids]
    keys = [key for key in found if isinstance(key, Ed25519PublicKey)]
    if len(keys) != len(ids):
        raise RootRefusedError(
            f"root v{root.version} names a key for {role} that is no Ed25519 key."
        )
    return keys


def expiry(now: datetime, role: str = ROOT) -> datetime:
    """When metadata of ``role`` made now expires, in whole seconds."""
    return (now + timedelta(seconds=VALID_S[role])).replace(microsecond=0)


def _root(plan: RootPlan, version: int) -> Root:
    for role in NAMED_ROLES:
        if not plan.keys.get(role) and role not in OPTIONAL_ROLES:
            raise RootRefusedError(f"the root would name no key for {role}. Name one.")
    owners = plan.keys[ROOT]
    if not 1 <= plan.threshold <= len(set(owners)):
        raise RootRefusedError(
            f"{plan.threshold} of {len(set(owners))} root keys cannot sign. "
            "Choose a threshold from 1 to the number of root keys."
        )
    _refuse_shared_keys(plan)
    named = {
        role: [Ed25519PublicKey.of(raw) for raw in plan.keys.get(role, ())] for role in NAMED_ROLES
    }
    ids = {role: [key.keyid for key in keys] for role, keys in named.items()}
    return Root(
        version=version,
        expires=plan.expires,
        keys={key.keyid: key for keys in named.values() for key in keys},
        roles={ROOT: Role(ids[ROOT], plan.threshold)}
        | {role: Role(ids[role], 1) for role in ONLINE_ROLES},
        unrecognized_fields={
            field: {"keyids": ids[role]} for role, field in _OWN_FIELDS.items() if ids[role]
        },
    )


def _refuse_shared_keys(plan: RootPlan) -> None:
    """A key in two roles would let the thief of one sign for the other."""
    role_of_key: dict[bytes, str] = {}
    for role in NAMED_ROLES:
        for key in plan.keys.get(role, ()):
            if role_of_key.setdefault(key, role) != role:
                raise RootRefusedError(
                    f"one key is named for both {role_of_key[key]} and {role}. Give each its own."
                )


def _own_key_ids(root: Root, role: str) -> list[str]:
    field = root.unrecognized_fields.get(_OWN_FIELDS[role])
    if field is None and role in OPTIONAL_ROLES:
        return []
    ids = field.get("keyids") if isinstance(field, dict) else None
    if not isinstance(ids, list) or not ids:
        raise RootRefusedError(
            f"root v{root.version} names no key for {role}. Make roots with fleetward keys."
        )
    return ids


def _bytes(metadata: Metadata[Root]) -> bytes:
    return metadata.to_bytes(JSONSerializer(compact=False))
