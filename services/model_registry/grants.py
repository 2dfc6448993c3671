"""Decides whether a robot may fetch a digest: only what its own target names, or may return to."""

from __future__ import annotations

from fleetward.contracts.codec import decode
from fleetward.contracts.ids import ModelRef
from fleetward.contracts.registry import GrantFetch, ModelRecord, ModelVersion
from fleetward.contracts.robots import RobotTarget, SignedTarget
from model_registry.errors import FetchNotGrantedError, UnknownModelError
from model_registry.publication import published


def model_granted(signed: SignedTarget | None, request: GrantFetch) -> ModelRef:
    """The model behind the digest that ``request`` asks for; raises FetchNotGrantedError."""
    target = decode(signed.payload, RobotTarget) if signed is not None else None
    if target is None or target.robot_id != request.robot_id:
        raise FetchNotGrantedError(
            f"{request.robot_id} has no target, so nothing is granted. Start a rollout to it."
        )
    if request.digest == target.digest:
        return target.model
    if target.fallback is not None and request.digest == target.fallback_digest:
        return target.fallback
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
