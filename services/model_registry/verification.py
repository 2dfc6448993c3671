"""Compares what a client claims about its upload with what arrived."""

from __future__ import annotations

from fleetward.contracts.bridge_release import BRIDGE_FORMAT, BRIDGE_MODEL
from fleetward.contracts.ids import Digest, ModelRef
from fleetward.contracts.registry import MergedAdapter, RegisterModel, StoredObject
from model_registry.errors import (
    DigestMismatchError,
    ModelRefusedError,
    ModelTooLargeError,
    UploadIncompleteError,
)
from model_registry.publication import Candidate
from model_registry.verdicts import Inspection


def refuse_size(request: RegisterModel, size_bytes: int, limit_bytes: int) -> None:
    """Raises ModelTooLargeError or UploadIncompleteError, before a byte is read."""
    if size_bytes > limit_bytes:
        raise ModelTooLargeError(
            f"{request.name}:{request.version} is {size_bytes} bytes, the limit is {limit_bytes}. "
            "Quantize or split the model."
        )
    if size_bytes != request.size_bytes:
        raise UploadIncompleteError(
            f"The upload of {request.name}:{request.version} is {size_bytes} bytes, "
            f"{request.size_bytes} were announced. Push the file again."
        )


def refuse_digest(request: RegisterModel, digest: Digest) -> None:
    """Raises DigestMismatchError when the bytes are others than the client hashed."""
    if digest != request.digest:
        raise DigestMismatchError(
            f"The upload of {request.name}:{request.version} is {digest}, "
            f"{request.digest} was announced. Push the file again."
        )


def refuse_other(claimed: StoredObject, digest: Digest) -> None:
    """Raises DigestMismatchError when an uploaded object is not what was announced."""
    if digest != claimed.digest:
        raise DigestMismatchError(
            f"The upload at {claimed.key} is {digest}, {claimed.digest} was announced. "
            "Push the file again."
        )


def _refuse_kind(model: ModelRef, inspection: Inspection) -> None:
    """A robot runs what it gets under one name as its own program, so that name is for nothing else."""
    if inspection.format == BRIDGE_FORMAT and model.name != BRIDGE_MODEL:
        raise ModelRefusedError(
            f"The file is a release of the bridge, and is published under the name {BRIDGE_MODEL} alone. "
            "Publish it with: fleetward bridge push"
        )
    if inspection.format != BRIDGE_FORMAT and model.name == BRIDGE_MODEL:
        raise ModelRefusedError(
            f"The name {BRIDGE_MODEL} is for releases of the bridge, and the file is {inspection.format}. "
            "Publish the model under another name."
        )


def candidate(
    model: ModelRef,
    request: RegisterModel,
    inspection: Inspection,
    chunks: StoredObject,
    merged: MergedAdapter | None,
) -> Candidate:
    """The verified file as a candidate; what the publisher says wins over the file's metadata.

    Raises ModelRefusedError when the name is for files of another kind.
    """
    _refuse_kind(model, inspection)
    return Candidate(
        model=model,
        digest=request.digest,
        size_bytes=request.size_bytes,
        chunks=chunks,
        format=inspection.format,
        opset=inspection.opset,
        inputs=inspection.inputs,
        outputs=inspection.outputs,
        metadata={**inspection.metadata, **request.metadata},
        merged=merged,
        fits=request.fits,
    )
