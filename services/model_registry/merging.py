"""Keeps the adapter that a publisher says was merged, for the deltas that are prepared later."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import MergedAdapter, ModelRecord, RegisterModel, StoredObject
from fleetward.delivery.adapters import MAX_ADAPTER_FILE_BYTES, read_adapter
from fleetward.delivery.errors import DeliveryError
from model_registry import verification
from model_registry.errors import ModelRefusedError, UnknownModelError
from model_registry.intake import Intake
from model_registry.keys import adapter_key
from model_registry.objects import ModelObjects
from model_registry.scratch import Scratch


async def keep_adapter(
    objects: ModelObjects,
    intake: Intake,
    record: ModelRecord,
    request: RegisterModel,
    scratch: Scratch,
    path: Path,
) -> MergedAdapter | None:
    """The request's adapter, hashed, read once from ``path`` and kept under its digest; None without.

    Raises UnknownModelError, ModelRefusedError, DigestMismatchError, OSError, what ``Intake.seen`` raises.
    """
    merged = request.merged
    if merged is None:
        return None
    if all(held.manifest.model.version != merged.base for held in record.versions):
        raise UnknownModelError(
            f"{request.name}:{merged.base} is not published, so nothing was merged into it. "
            "Publish it first, or push without --base."
        )
    seen = await intake.seen(request.upload_key, merged.stored, MAX_ADAPTER_FILE_BYTES)
    content = await objects.read(seen)
    digest = Digest(f"sha256:{(await asyncio.to_thread(hashlib.sha256, content)).hexdigest()}")
    verification.refuse_other(merged.stored, digest)
    try:
        await asyncio.to_thread(scratch.write, path, content)
        await asyncio.to_thread(read_adapter, path, merged.scale)
    except DeliveryError as error:
        raise ModelRefusedError(f"The adapter is refused: {error}") from error
    await objects.adopt(seen, adapter_key(digest))
    stored = StoredObject(adapter_key(digest), digest, len(content))
    return MergedAdapter(base=merged.base, stored=stored, scale=merged.scale)
