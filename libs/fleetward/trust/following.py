"""The robot's side: what it keeps of roots and roles, and how an answer becomes a newer keep.

Pure: bytes and a nonce in, bytes out; no clock, no file, no network. The rules of TUF are
python-tuf's (its ``TrustedMetadataSet``); ours are that time is what the registry signed for this
very question, never the robot's clock, and that nothing is older than what enrolment pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace
from tuf.api.exceptions import EqualVersionNumberError, RepositoryError
from tuf.api.metadata import Metadata, Targets

# Its rules without its downloads: the public Updater judges expiry by the clock of the machine,
# which on a robot may say 1970 or 2100, and keeps what it knows in one file per role.
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.ids import ModelName, ModelRef, RobotId
from fleetward.contracts.trust import (
    Freshness,
    RefreshTrust,
    RoleName,
    TrustRefreshed,
)
from fleetward.trust.errors import NotFreshError, UntrustedMetadataError
from fleetward.trust.floors import Anchor, refuse_below_floors
from fleetward.trust.listing import Listed, listed_as
from fleetward.trust.metadata_keys import use_libsodium
from fleetward.trust.roles import (
    COMMANDS,
    MAX_METADATA_BYTES,
    MAX_ROOT_BYTES,
    MAX_ROOTS,
    RULES,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    is_model_role,
    path_of,
    role_of,
)
from fleetward.trust.roots import keys_of, read_root
from fleetward.trust.signing import (
    FRESHNESS,
    MANIFEST,
    RULE_SET,
    TARGET,
    SignatureError,
    TrustedKeys,
)

CLOCK_SLACK_S = 120.0
"""Two replicas of the registry may differ by so much before time seems to run backwards."""
MAX_MODELS_KEPT = 16

_T = TypeVar("_T")


class Kept(Struct, frozen=True, kw_only=True):
    """What a robot believes. roles: their newest metadata, empty before the first answer.

    at: the newest time that the registry signed; expiry is judged by nothing else. labels: those that the
    robot is enrolled with, as the registry last signed them; None: it never did.
    """

    anchor: Anchor
    root: bytes
    roles: dict[RoleName, bytes] = {}
    at: datetime
    labels: dict[str, str] | None = None


def enrolled(anchor: Anchor) -> Kept:
    """What a robot believes before it ever asked; raises RootRefusedError for a broken root."""
    read_root(anchor.root)
    return Kept(anchor=anchor, root=anchor.root, at=anchor.at)


def question(
    kept: Kept, robot_id: RobotId, nonce: bytes, model: ModelName | None, *, whole: bool = False
) -> RefreshTrust:
    """What to ask the registry, so that only what is new travels; ``whole``: all of it."""
    wanted = {SNAPSHOT, TARGETS, *((role_of(model),) if model else ())}
    return RefreshTrust(
        robot_id=robot_id,
        nonce=nonce,
        root_version=read_root(kept.root).signed.version,
        held={
            role: _version(content)
            for role, content in kept.roles.items()
            if role in wanted and not whole
        },
        model=model,
        labels=model is None or kept.labels is None,
    )


def follow(kept: Kept, asked: RefreshTrust, answer: TrustRefreshed) -> Kept:
    """What to believe after ``answer``; raises UntrustedMetadataError, NotFreshError."""
    use_libsodium()
    _refuse_oversize(answer)
    try:
        return _followed(kept, asked, answer)
    except RepositoryError as error:
        raise UntrustedMetadataError(
            f"the registry's metadata is refused: {type(error).__name__}: {error}. "
            "If it was restored from a backup or its keys were replaced: fleetward keys list"
        ) from error


def believed_keys(root: bytes) -> TrustedKeys:
    """Whose signatures count, by purpose, under this root."""
    signed = read_root(root).signed
    return TrustedKeys.of(
        {
            TARGET: [key.public_bytes for key in keys_of(signed, COMMANDS)],
            MANIFEST: [key.public_bytes for key in keys_of(signed, TARGETS)],
            FRESHNESS: [key.public_bytes for key in keys_of(signed, TIMESTAMP)],
            RULE_SET: [key.public_bytes for key in keys_of(signed, RULES)],
        }
    )


def listed_in(kept: Kept, model: ModelRef) -> Listed | None:
    """What is kept about one version; None when it is not listed: never published, or withdrawn."""
    content = kept.roles.get(role_of(model.name))
    if content is None:
        return None
    targets: Metadata[Targets] = Metadata.from_bytes(content)
    target = targets.signed.targets.get(path_of(model))
    return listed_as(target) if target is not None else None


def knows(kept: Kept, name: ModelName) -> bool:
    """Whether the registry's word about this model is kept at all."""
    return role_of(name) in kept.roles


def timestamp_version(kept: Kept) -> int:
    """How new what is kept is; 0 before the first answer."""
    content = kept.roles.get(TIMESTAMP)
    return _version(content) if content else 0


def _followed(kept: Kept, asked: RefreshTrust, answer: TrustRefreshed) -> Kept:
    trusted = TrustedMetadataSet(kept.root, EnvelopeType.METADATA)
    root = kept.root
    for following in answer.roots:
        trusted.update_root(following)
        root = following
    fresh = _proved(root, asked, answer, kept.at)
    trusted.reference_time = max(kept.at, fresh.at)
    roles = _load_roles(trusted, kept, answer, asked.model)
    if trusted.timestamp.version != fresh.timestamp_version:
        raise NotFreshError(
            f"today's timestamp is version {fresh.timestamp_version}, and version "
            f"{trusted.timestamp.version} was sent: somebody holds newer metadata back."
        )
    refuse_below_floors(trusted, kept.anchor)
    labels = kept.labels if fresh.labels is None else fresh.labels
    return replace(kept, root=root, roles=roles, at=trusted.reference_time, labels=labels)


def _load_roles(
    trusted: TrustedMetadataSet, kept: Kept, answer: TrustRefreshed, model: ModelName | None
) -> dict[RoleName, bytes]:
    """In the order of TUF, what is kept first, so that nothing older replaces it."""
    roles = dict[RoleName, bytes]()
    held, offered = kept.roles, answer.roles
    roles[TIMESTAMP] = _timestamp(trusted, held.get(TIMESTAMP), offered.get(TIMESTAMP))
    roles[SNAPSHOT] = _newest(
        SNAPSHOT,
        held.get(SNAPSHOT),
        offered.get(SNAPSHOT),
        lambda content, ours: trusted.update_snapshot(content, trusted=ours),
    )
    roles[TARGETS] = _newest(
        TARGETS,
        held.get(TARGETS),
        offered.get(TARGETS),
        lambda content, _: trusted.update_targets(content),
    )
    others = {role: content for role, content in held.items() if is_model_role(role)}
    role = role_of(model) if model else None
    if role is not None and _is_delegated(trusted, role):
        others.pop(role, None)
        roles[role] = _newest(
            role,
            held.get(role),
            offered.get(role),
            lambda content, _: trusted.update_delegated_targets(content, role, TARGETS),
        )
    return roles | dict(list(others.items())[: MAX_MODELS_KEPT - 1])


def _timestamp(trusted: TrustedMetadataSet, held: bytes | None, offered: bytes | None) -> bytes:
    if held is not None:
        _fault(lambda: trusted.update_timestamp(held))
    if offered is None:
        raise UntrustedMetadataError("the registry's answer has no timestamp.")
    try:
        trusted.update_timestamp(offered)
    except EqualVersionNumberError:
        return held or offered
    return offered


def _newest(
    role: RoleName,
    held: bytes | None,
    offered: bytes | None,
    update: Callable[[bytes, bool], object],
) -> bytes:
    """What is held when it is still today's, otherwise what is offered."""
    reason = "it has none" if held is None else _fault(lambda: update(held, True))
    if held is not None and reason is None:
        return held
    if offered is None:
        raise UntrustedMetadataError(f"the registry sent no new {role}, and one is due: {reason}.")
    update(offered, False)
    return offered


def _fault(update: Callable[[], object]) -> str | None:
    """Why what is held is not today's, or None; it still guards against anything older."""
    try:
        update()
    except RepositoryError as error:
        return str(error) or type(error).__name__
    return None


def _is_delegated(trusted: TrustedMetadataSet, role: str) -> bool:
    delegations = trusted.targets.delegations
    return delegations is not None and role in (delegations.roles or {})


def _proved(
    root: bytes, asked: RefreshTrust, answer: TrustRefreshed, known_at: datetime
) -> Freshness:
    """The time and version the registry signed for this question; raises NotFreshError."""
    proof = answer.proof
    try:
        believed_keys(root).verify(FRESHNESS, proof.payload, proof.key_id, proof.signature)
        fresh = decode(proof.payload, Freshness)
    except (SignatureError, UnreadableMessageError) as error:
        raise NotFreshError(
            f"the registry's answer does not prove that it is new: {error}"
        ) from error
    if (fresh.nonce, fresh.robot_id) != (asked.nonce, asked.robot_id):
        raise NotFreshError(
            f"the answer was made for another question, of {fresh.robot_id}: it is a replay."
        )
    if fresh.at < known_at - timedelta(seconds=CLOCK_SLACK_S):
        raise NotFreshError(
            f"the registry says it is {fresh.at.isoformat()}, and it was {known_at.isoformat()} "
            "before: set the clock of the machine it runs on."
        )
    return fresh


def _refuse_oversize(answer: TrustRefreshed) -> None:
    if len(answer.roots) > MAX_ROOTS or any(len(root) > MAX_ROOT_BYTES for root in answer.roots):
        raise UntrustedMetadataError("the registry's answer holds more roots than there may be.")
    for role, content in answer.roles.items():
        if len(content) > MAX_METADATA_BYTES:
            raise UntrustedMetadataError(
                f"{role} metadata of {len(content)} bytes is more than {MAX_METADATA_BYTES}."
            )


def _version(content: bytes) -> int:
    """The version of metadata that was believed before; 0 when the disk changed it."""
    try:
        return Metadata.from_bytes(content).signed.version
    except RepositoryError:
        return 0
