"""Believes nothing of a target or a manifest before its signature, its audience and its digest."""

from __future__ import annotations

from typing import Protocol

from edge_bridge.errors import ManifestRefusedError
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.ids import ModelRef
from fleetward.contracts.registry import ModelManifest, SignedManifest
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.trust.listing import Listed
from fleetward.trust.signing import TARGET, Verifier


class Listings(Protocol):
    """Who knows what the registry lists."""

    def listed(self, model: ModelRef) -> Listed | None:
        """None when it is not listed."""


def verified_target(trusted: Verifier, signed: SignedTarget) -> RobotTarget:
    """The target in ``signed``; raises SignatureError or UnreadableMessageError."""
    trusted.verify(TARGET, signed.payload, signed.key_id, signed.signature)
    return decode(signed.payload, RobotTarget)


def verified_manifest(
    listings: Listings, signed: SignedManifest, target: RobotTarget
) -> ModelManifest:
    """The manifest of exactly the model ``target`` names; raises ManifestRefusedError."""
    listed = listings.listed(target.model)
    if listed is None or not listed.describes(signed.payload):
        raise ManifestRefusedError(
            f"the manifest of {target.model} is refused: it is not the one that the registry lists."
        )
    try:
        manifest = decode(signed.payload, ModelManifest)
    except UnreadableMessageError as problem:
        raise ManifestRefusedError(
            f"the manifest of {target.model} is refused: {problem}"
        ) from problem
    if (manifest.digest, manifest.model) != (target.digest, target.model):
        raise ManifestRefusedError(
            f"the target names {target.model} ({target.digest}) and the manifest describes "
            f"{manifest.model} ({manifest.digest}). Roll the model out again."
        )
    if manifest.size_bytes < 1:
        raise ManifestRefusedError(f"the manifest of {target.model} has no bytes.")
    return manifest
