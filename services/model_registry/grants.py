"""Decides whether a robot may fetch a digest: only what its own target names, or may return to."""

from __future__ import annotations

from fleetward.contracts.codec import decode
from fleetward.contracts.ids import ModelRef
from fleetward.contracts.registry import (
    DeltaOffer,
    GrantFetch,
    ModelRecord,
    ModelVersion,
    StoredObject,
)
from fleetward.contracts.robots import RobotTarget, SignedTarget
from model_registry.errors import FetchNotGrantedError, UnknownModelError
from model_registry.publication import published

MAX_MANIFESTS_LISTED = 8
"""What changed was nearly always published not long ago; each costs the publisher a download."""


def model_granted(signed: SignedTarget | None, request: GrantFetch) -> ModelRef:
    """The model behind the digest that ``request`` asks for; raises FetchNotGrantedError."""
    target = decode(signed.payload, RobotTarget) if signed is not None else None
    if target is None or target.robot_id != request.robot_id:
        raise FetchNotGrantedError(
            f"{request.robot_id} has no target, so nothing is granted. Start a rollout to it."
        )
    for entry in target.entries:
        if request.digest == entry.digest:
            return entry.model
        if entry.fallback is not None and request.digest == entry.fallback_digest:
            return entry.fallback
    raise FetchNotGrantedError(
        f"{request.robot_id}'s target (generation {target.generation}) does not name "
        f"{request.digest}. Look at the newest target and ask for what it names."
    )


def version_granted(record: ModelRecord, model: ModelRef, request: GrantFetch) -> ModelVersion:
    """The published version that has exactly these bytes; raises UnknownModelError."""
    version = published(record, model, request.digest)
    if version is None:
        raise UnknownModelError(f"{model} is not published. Publish it, then start the rollout.")
    return version


def deltas_granted(version: ModelVersion, request: GrantFetch) -> tuple[DeltaOffer, ...]:
    """The deltas that begin at something the robot holds, the cheapest first."""
    usable = (offer for offer in version.deltas if offer.base in request.held)
    return tuple(sorted(usable, key=lambda offer: offer.fetch_bytes))


def manifests_listed(record: ModelRecord) -> tuple[StoredObject, ...]:
    """The chunk manifests of the newest versions, newest first, each once."""
    newest = sorted(record.versions, key=lambda held: held.manifest.release, reverse=True)
    chunks = [held.manifest.chunks for held in newest if held.manifest.chunks is not None]
    return tuple(dict.fromkeys(chunks))[:MAX_MANIFESTS_LISTED]
