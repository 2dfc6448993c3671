"""Candidates, records and signatures that the registry's unit tests share."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone

from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest, ModelRef, model_name, version
from fleetward.contracts.registry import (
    ModelManifest,
    ModelVersion,
    SignedManifest,
    StoredObject,
    TensorSpec,
)
from model_registry.publication import Candidate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def digest_of(text: str) -> Digest:
    """A digest that stands for bytes named ``text``."""
    return Digest(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")


def candidate(release: str, contents: str, metadata: dict[str, str] | None = None) -> Candidate:
    """``detector:<release>`` holding ``contents``."""
    return Candidate(
        model=ModelRef(model_name("detector"), version(release)),
        digest=digest_of(contents),
        size_bytes=len(contents),
        chunks=StoredObject(f"manifests/{contents}", digest_of(f"chunks of {contents}"), 100),
        format="onnx",
        opset=17,
        inputs=(TensorSpec("x", "FLOAT", (-1, 4)),),
        outputs=(TensorSpec("y", "FLOAT", (-1, 2)),),
        metadata=metadata or {},
    )


def sign(manifest: ModelManifest) -> ModelVersion:
    """A stand-in for the registry's key: the right shape, no secret."""
    payload = encode(manifest)
    signature = hashlib.sha512(payload).digest()
    return ModelVersion(
        manifest=manifest,
        signed=SignedManifest(payload=payload, key_id="unit", signature=signature),
    )
