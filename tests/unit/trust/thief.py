"""What somebody can make who stole keys: any metadata, under the signatures of those keys."""

from __future__ import annotations

from collections.abc import Callable
from secrets import token_bytes
from typing import Any

from msgspec.structs import replace
from tuf.api.metadata import Metadata, MetaFile
from tuf.api.serialization.json import JSONSerializer

from fleetward.contracts.codec import encode
from fleetward.contracts.ids import ModelName, ModelRef, RobotId, Version
from fleetward.contracts.trust import (
    NONCE_BYTES,
    Freshness,
    RefreshTrust,
    RoleName,
    SignedFreshness,
    TrustRefreshed,
)
from fleetward.trust.floors import Anchor
from fleetward.trust.following import Kept, enrolled, follow, listed_in, question
from fleetward.trust.listing import Listed
from fleetward.trust.metadata_keys import MetadataSigner
from fleetward.trust.roles import SNAPSHOT, TARGETS, TIMESTAMP, role_of
from fleetward.trust.signing import FRESHNESS, SigningKey
from testkit.authority import Authority

DET = ModelName("det")
DET_ROLE = role_of(DET)
V1, V2 = b"manifest of v1", b"manifest of v2"
ROBOT = RobotId("r1")
Change = Callable[[TrustRefreshed], TrustRefreshed]


class Robot:
    """What a robot keeps; asks its registry through whoever sits on the way."""

    def __init__(self, anchor: Anchor, robot_id: RobotId = ROBOT) -> None:
        self.robot_id = robot_id
        self.kept: Kept = enrolled(anchor)

    def ask(self) -> RefreshTrust:
        """A new question about the model ``det``."""
        return question(self.kept, self.robot_id, token_bytes(NONCE_BYTES), DET)

    def refresh(self, authority: Authority, change: Change = lambda answer: answer) -> Kept:
        """Ask and believe; ``change`` is what somebody does to the answer on its way."""
        asked = self.ask()
        self.kept = follow(self.kept, asked, change(authority.answer(asked)))
        return self.kept

    def lists(self, version: str) -> Listed | None:
        """What it knows about ``det:<version>``."""
        return listed_in(self.kept, ModelRef(DET, Version(version)))


def remade(content: bytes, change: Callable[[Any], object], *keys: SigningKey) -> bytes:
    """Metadata changed by somebody who holds ``keys``."""
    metadata: Metadata[Any] = Metadata.from_bytes(content)
    change(metadata.signed)
    metadata.signatures.clear()
    for key in keys:
        metadata.sign(MetadataSigner(key), append=True)
    return metadata.to_bytes(JSONSerializer(compact=True))


def with_roles(answer: TrustRefreshed, **roles: bytes) -> TrustRefreshed:
    """The answer with other metadata in it; ``model_det`` stands for the role of ``det``."""
    named = {RoleName(role.replace("_", "-")): content for role, content in roles.items()}
    return replace(answer, roles={**answer.roles, **named})


def proved_by(
    key: SigningKey, answer: TrustRefreshed, asked: RefreshTrust, authority: Authority
) -> TrustRefreshed:
    """The answer with a proof of freshness by somebody who holds a key for it."""
    version = Metadata.from_bytes(answer.roles[TIMESTAMP]).signed.version
    payload = encode(
        Freshness(
            robot_id=asked.robot_id,
            nonce=asked.nonce,
            timestamp_version=version,
            at=authority.now,
        )
    )
    signed = key.sign(FRESHNESS, payload)
    proof = SignedFreshness(payload=payload, key_id=signed.key_id, signature=signed.signature)
    return replace(answer, proof=proof)


def stolen_timestamp_and_snapshot(
    authority: Authority, asked: RefreshTrust, old_list: bytes, version: int
) -> TrustRefreshed:
    """Metadata that offers ``old_list`` as today's, and a proof that it is new."""
    answer = authority.answer(asked)

    def point_at_the_old(snapshot: object) -> None:
        vars(snapshot)["version"] += 1
        vars(snapshot)["meta"][f"{DET_ROLE}.json"] = MetaFile(version)

    def point_at_the_snapshot(timestamp: object) -> None:
        vars(timestamp)["version"] += 1
        vars(timestamp)["snapshot_meta"].version += 1

    snapshot_thief, thief = authority.keys[SNAPSHOT][0], authority.keys[TIMESTAMP][0]
    forged = with_roles(
        answer,
        targets=authority.roles[TARGETS],
        model_det=old_list,
        snapshot=remade(authority.roles[SNAPSHOT], point_at_the_old, snapshot_thief),
        timestamp=remade(answer.roles[TIMESTAMP], point_at_the_snapshot, thief),
    )
    return proved_by(thief, forged, asked, authority)
