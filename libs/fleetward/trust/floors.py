"""What enrolment pins: a robot never believes what is older than what was newest when it was made."""

from __future__ import annotations

from datetime import datetime, timezone

from msgspec import Struct
from tuf.api.metadata import Root
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet

from fleetward.contracts.trust import RoleName
from fleetward.trust.errors import UntrustedMetadataError
from fleetward.trust.roles import SNAPSHOT, TARGETS, TIMESTAMP, is_model_role
from fleetward.trust.roots import read_root


class Anchor(Struct, frozen=True, kw_only=True):
    """What a robot is given when it is enrolled, by a way that is trusted.

    floors: role -> the version it had then; an older one is never believed, as long as the same
    keys sign for the role. at: when that was.
    """

    root: bytes
    floors: dict[RoleName, int] = {}
    at: datetime = datetime(2000, 1, 1, tzinfo=timezone.utc)


def refuse_below_floors(trusted: TrustedMetadataSet, anchor: Anchor) -> None:
    """Raises UntrustedMetadataError when a role is older than it was at the enrolment."""
    then = read_root(anchor.root).signed
    for role, floor in anchor.floors.items():
        if _key_ids(then, role) != _key_ids(trusted.root, role):
            continue  # its keys were replaced, perhaps since a thief counted up: TUF 5.3.11
        version = _version_of(trusted, role)
        if version < floor:
            raise UntrustedMetadataError(
                f"{role} is version {version}, and was {floor} when this robot was enrolled: "
                "somebody offers what is out of date."
            )


def _version_of(trusted: TrustedMetadataSet, role: RoleName) -> int:
    if role == TIMESTAMP:
        return trusted.timestamp.version
    if role == SNAPSHOT:
        return trusted.snapshot.version
    meta = trusted.snapshot.meta.get(f"{role}.json")
    return meta.version if meta else 0


def _key_ids(root: Root, role: str) -> set[str]:
    return set(root.roles[TARGETS if is_model_role(role) else role].keyids)
