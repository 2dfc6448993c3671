"""Decides whether a file becomes a version: record and candidate in, manifest and facts out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct, structs

from fleetward.contracts.codec import encode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.registry import (
    MAX_VERSIONS_PER_MODEL,
    MergedAdapter,
    ModelManifest,
    ModelPublished,
    ModelRecord,
    ModelVersion,
    StoredObject,
    TensorSpec,
)
from model_registry.errors import ManifestTooLargeError, TooManyVersionsError, VersionTakenError
from model_registry.variants import refuse_variant

MAX_MANIFEST_BYTES = 3 * 1024
"""500 versions, each kept decoded and as signed bytes, stay below a record's 4 MiB."""


class Candidate(Struct, frozen=True, kw_only=True):
    """A verified, inspected file that asks to become ``model``."""

    model: ModelRef
    digest: Digest
    size_bytes: int
    chunks: StoredObject
    format: str
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]
    merged: MergedAdapter | None = None
    fits: str = ""


class RecordStep(Struct, frozen=True, kw_only=True):
    """The record as it shall be, and the facts to announce with it; no facts: nothing changed."""

    record: ModelRecord
    facts: tuple[Event, ...] = ()


def published(
    record: ModelRecord, model: ModelRef, digest: Digest, fits: str | None = None
) -> ModelVersion | None:
    """The version, when it stands already with these bytes; None when the name is still free.

    Raises VersionTakenError when it stands with other bytes, or for other robots than ``fits``.
    """
    for version in record.versions:
        if version.manifest.model != model:
            continue
        if version.manifest.digest != digest:
            raise VersionTakenError(
                f"{model} is already published with {version.manifest.digest}, and a version never "
                f"changes. Publish these bytes ({digest}) under another version."
            )
        if fits is not None and version.manifest.fits != fits:
            raise VersionTakenError(
                f"{model} is already published for {version.manifest.fits or 'any robot'}, and a "
                "version never changes. Publish under another version."
            )
        return version
    return None


def publish(
    record: ModelRecord,
    candidate: Candidate,
    now: datetime,
    sign: Callable[[ModelManifest], ModelVersion],
) -> RecordStep:
    """The record with the candidate in it; no facts when it stands there already.

    Raises VersionTakenError, VariantRefusedError, TooManyVersionsError, ManifestTooLargeError.
    """
    if published(record, candidate.model, candidate.digest, candidate.fits) is not None:
        return RecordStep(record=record)
    refuse_variant(record, candidate.model, candidate.fits)
    if len(record.versions) >= MAX_VERSIONS_PER_MODEL:
        raise TooManyVersionsError(
            f"{record.name} has {len(record.versions)} versions, the most one model may have. "
            "Publish under a new model name."
        )
    signed = sign(_small_enough(_manifest(record, candidate, now)))
    version = structs.replace(signed, merged=candidate.merged)
    grown = structs.replace(record, versions=(*record.versions, version))
    return RecordStep(record=grown, facts=(_fact(version.manifest),))


def _fact(manifest: ModelManifest) -> ModelPublished:
    return ModelPublished(
        name=manifest.model.name,
        version=manifest.model.version,
        digest=manifest.digest,
        size_bytes=manifest.size_bytes,
        release=manifest.release,
        fits=manifest.fits,
        published_at=manifest.published_at,
    )


def _manifest(record: ModelRecord, candidate: Candidate, now: datetime) -> ModelManifest:
    return ModelManifest(
        model=candidate.model,
        digest=candidate.digest,
        size_bytes=candidate.size_bytes,
        format=candidate.format,
        opset=candidate.opset,
        inputs=candidate.inputs,
        outputs=candidate.outputs,
        metadata=candidate.metadata,
        release=1 + max((held.manifest.release for held in record.versions), default=0),
        published_at=now,
        chunks=candidate.chunks,
        fits=candidate.fits,
    )


def _small_enough(manifest: ModelManifest) -> ModelManifest:
    size = len(encode(manifest))
    if size > MAX_MANIFEST_BYTES:
        raise ManifestTooLargeError(
            f"The manifest of {manifest.model} is {size} bytes, its limit is {MAX_MANIFEST_BYTES}. "
            "Give less metadata, or export the model with fewer or shorter inputs and outputs."
        )
    return manifest
