"""Publishes a model file: cut here, sent as far as it is new, rebuilt and signed by the registry."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.errors import RefusedError
from fleetward.bus.requests import ask
from fleetward.client.descriptions import NOTHING_SAID, Description
from fleetward.client.errors import FileRefusedError
from fleetward.client.stored_chunks import stored_manifests
from fleetward.client.uploads import Progress, Uploads
from fleetward.contracts.ids import Digest, ModelRef, Version
from fleetward.contracts.registry import (
    UPLOADS_PREFIX,
    MergedAdapter,
    ModelRegistered,
    RegisterModel,
    StoredObject,
)
from fleetward.delivery.adapters import read_adapter
from fleetward.delivery.chunking import ChunkedFile, chunk_file
from fleetward.delivery.errors import DeliveryError, LayoutError
from fleetward.delivery.manifest import (
    Chunk,
    ChunkManifest,
    ManifestHeader,
    PackRun,
    encode_manifest,
    manifest_digest,
)
from fleetward.delivery.packs import NewPack, StoredChunks, packing_of

PACKS_AT_ONCE = 2
"""Packs in memory and on the way at a time; each is at most 64 MiB."""


class MergedFile(Struct, frozen=True, kw_only=True):
    """What was merged into version ``base`` to make the file: a LoRA safetensors file, and by what.

    scale: the factor on the product of its matrices, PEFT's alpha over rank.
    """

    base: Version
    adapter: Path
    scale: float = 1.0


async def push(
    connection: Client,
    uploads: Uploads,
    path: Path,
    model: ModelRef,
    metadata: Mapping[str, str],
    progress: Progress,
    description: Description = NOTHING_SAID,
    merged: MergedFile | None = None,
    *,
    fits: str = "",
) -> ModelRegistered:
    """Send what is new of a file, and have the registry verify, sign and announce it.

    A push that was cut off is taken up again by the same push: at most the packs that were on
    their way are sent again.

    ``progress`` counts what stands already as sent; ``merged`` lets robots that hold its base get
    the file for little more than the adapter; ``fits`` makes it a variant, for the robots of that
    selector alone. Raises FileRefusedError, UploadError,
    RefusedError (the registry's words), NoAnswerError.
    """
    file = await asyncio.to_thread(_chunked, path)
    manifests = await stored_manifests(connection, model.name)
    upload_key = _upload_key(model, file.digest)
    chunks, packs = await _sent(uploads, upload_key, path, file, manifests, progress)
    request = RegisterModel(
        name=model.name,
        version=model.version,
        digest=file.digest,
        size_bytes=file.layout.size_bytes,
        upload_key=upload_key,
        chunks=chunks,
        packs=packs,
        merged=await _adapter_sent(uploads, upload_key, merged) if merged is not None else None,
        fits=fits,
        metadata=dict(metadata),
        lineage=dict(description.lineage),
        licence=description.licence,
        card=description.card,
    )
    return await _registered(connection, request, path)


def _upload_key(model: ModelRef, digest: Digest) -> str:
    """The same for the same push, so that one which was cut off is gone on with."""
    return UPLOADS_PREFIX + hashlib.sha256(f"{model} {digest}".encode()).hexdigest()[:32]


async def _adapter_sent(uploads: Uploads, upload_key: str, merged: MergedFile) -> MergedAdapter:
    """The adapter as it lies in the store now, when it is one."""
    try:
        await asyncio.to_thread(read_adapter, merged.adapter, merged.scale)
        content = await asyncio.to_thread(merged.adapter.read_bytes)
    except OSError as error:
        raise FileRefusedError(f"{merged.adapter} cannot be read: {error.strerror}.") from error
    except DeliveryError as error:
        raise FileRefusedError(f"{merged.adapter} is no adapter: {error}") from error
    digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")
    stored = await uploads.put(_key(upload_key, digest), content, digest, sent=lambda more: None)
    return MergedAdapter(base=merged.base, stored=stored, scale=merged.scale)


async def _registered(connection: Client, request: RegisterModel, path: Path) -> ModelRegistered:
    """The registry's answer; its refusal names the file, which it never saw under its name."""
    try:
        registered: ModelRegistered = await ask(connection, request)
    except RefusedError as refused:
        raise RefusedError(refused.code, f"{path} is refused: {refused}") from refused
    return registered


def _chunked(path: Path) -> ChunkedFile:
    try:
        file = chunk_file(path)
    except OSError as error:
        raise FileRefusedError(
            f"{path} cannot be read: {error.strerror}. Name the file of a model."
        ) from error
    except LayoutError as error:
        raise FileRefusedError(f"{path} is no sound model: {error}") from error
    if not file.chunks:
        raise FileRefusedError(f"{path} is empty. Name the file of a model.")
    return file


async def _sent(
    uploads: Uploads,
    upload_key: str,
    path: Path,
    file: ChunkedFile,
    manifests: Sequence[ChunkManifest],
    progress: Progress,
) -> tuple[StoredObject, tuple[StoredObject, ...]]:
    """The manifest and the new packs, as they lie in the store now."""
    packing = await asyncio.to_thread(lambda: packing_of(file.chunks, StoredChunks(manifests)))
    total = file.layout.size_bytes
    counted = total - sum(pack.size_bytes for pack in packing.new_packs)

    def sent(more: int) -> None:
        nonlocal counted
        counted += more
        progress(counted, total)

    sent(0)
    packs = await _packs_sent(uploads, upload_key, path, packing.new_packs, sent)
    runs = packing.runs([pack.digest for pack in packs])
    encoded = encode_manifest(_manifest(file, runs))
    digest = manifest_digest(encoded)
    chunks = await uploads.put(_key(upload_key, digest), encoded, digest, sent=lambda more: None)
    return chunks, packs


async def _packs_sent(
    uploads: Uploads,
    upload_key: str,
    path: Path,
    packs: Sequence[NewPack],
    sent: Callable[[int], None],
) -> tuple[StoredObject, ...]:
    slots = asyncio.Semaphore(PACKS_AT_ONCE)

    async def one(pack: NewPack) -> StoredObject:
        async with slots:
            content, digest = await asyncio.to_thread(_content, path, pack)
            return await uploads.put(_key(upload_key, digest), content, digest, sent)

    sending = [asyncio.ensure_future(one(pack)) for pack in packs]
    try:
        return tuple(await asyncio.gather(*sending))
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def _key(upload_key: str, digest: Digest) -> str:
    return f"{upload_key}/{digest.removeprefix('sha256:')}"


def _content(path: Path, pack: NewPack) -> tuple[bytes, Digest]:
    """A pack's bytes and their digest; the registry finds out when the file changed meanwhile."""
    with path.open("rb") as file:
        content = b"".join(_read(file, chunk) for chunk in pack.chunks)
    return content, Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def _read(file: BinaryIO, chunk: Chunk) -> bytes:
    file.seek(chunk.start)
    return file.read(chunk.length)


def _manifest(file: ChunkedFile, runs: tuple[PackRun, ...]) -> ChunkManifest:
    header = ManifestHeader(
        digest=file.digest,
        size_bytes=file.layout.size_bytes,
        file_format=file.layout.file_format,
        tensors=file.layout.tensors,
        runs=runs,
    )
    return ChunkManifest(header, file.chunks)
