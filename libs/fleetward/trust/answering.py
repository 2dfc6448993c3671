"""The registry's answer to a robot that asks what to believe: what it lacks, and that it is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from tuf.api.metadata import Metadata

from fleetward.contracts.codec import encode
from fleetward.contracts.trust import (
    NONCE_BYTES,
    Freshness,
    RefreshTrust,
    RoleName,
    SignedFreshness,
    TrustRefreshed,
)
from fleetward.trust.errors import NotFreshError
from fleetward.trust.online_keys import OnlineKeys
from fleetward.trust.roles import SNAPSHOT, TARGETS, TIMESTAMP, role_of
from fleetward.trust.roots import read_root
from fleetward.trust.signing import FRESHNESS


def roles_wanted(asked: RefreshTrust) -> list[RoleName]:
    """Whose metadata an answer needs to look at."""
    return [TIMESTAMP, SNAPSHOT, TARGETS, *([role_of(asked.model)] if asked.model else [])]


def answer(
    asked: RefreshTrust,
    roots: Sequence[bytes],
    roles: Mapping[RoleName, bytes],
    keys: OnlineKeys,
    now: datetime,
    labels: Mapping[str, str] | None = None,
) -> TrustRefreshed:
    """roots: all, oldest first. roles: today's, of those that ``roles_wanted`` names. labels: the robot's.

    Raises NotFreshError for a nonce that proves nothing, KeyMissingError.
    """
    if len(asked.nonce) != NONCE_BYTES:
        raise NotFreshError(f"a nonce has {NONCE_BYTES} bytes, not {len(asked.nonce)}.")
    versions = {
        role: Metadata.from_bytes(content).signed.version for role, content in roles.items()
    }
    root = read_root(roots[-1]).signed
    fresh = Freshness(
        robot_id=asked.robot_id,
        nonce=asked.nonce,
        timestamp_version=versions[TIMESTAMP],
        at=now,
        labels=None if labels is None else dict(labels),
    )
    payload = encode(fresh)
    signature = keys.of(root, TIMESTAMP).sign(FRESHNESS, payload)
    return TrustRefreshed(
        roots=tuple(roots[asked.root_version :]),
        roles={
            role: content
            for role, content in roles.items()
            if role == TIMESTAMP or asked.held.get(role) != versions[role]
        },
        proof=SignedFreshness(
            payload=payload, key_id=signature.key_id, signature=signature.signature
        ),
    )
