"""Uploads as a client sends them, and as one could that lies; nothing here is checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from secrets import token_hex

from msgspec import Struct

from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.contracts.ids import Digest, ModelName, Version
from fleetward.contracts.registry import ModelRegistered, RegisterModel, StoredObject
from fleetward.delivery.manifest import (
    Chunk,
    ChunkManifest,
    ManifestHeader,
    PackRun,
    encode_manifest,
    manifest_digest,
)
from testkit.servers import ObjectStore
from tests.integration.model_registry import bucket


def digest_of(content: bytes) -> Digest:
    """The digest that names ``content``."""
    return Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")


def manifest_of(
    pieces: Sequence[bytes], pack: Digest | None = None, digest: Digest | None = None
) -> ChunkManifest:
    """The manifest of ``pieces`` as chunks, all in one pack (their own, unless told)."""
    whole, chunks, start = b"".join(pieces), list[Chunk](), 0
    for piece in pieces:
        chunks.append(Chunk(hashlib.sha256(piece).digest(), start, len(piece)))
        start += len(piece)
    header = ManifestHeader(
        digest=digest or digest_of(whole),
        size_bytes=len(whole),
        file_format="opaque",
        runs=(PackRun(0, len(chunks), pack or digest_of(whole), 0),),
    )
    return ChunkManifest(header, tuple(chunks))


class ForgedUpload(Struct, kw_only=True):
    """What a client puts and then claims; set any part of it to something else.

    packs: what the request says was uploaded. put_packs: what is there, by the same order.
    """

    manifest: bytes
    digest: Digest
    size_bytes: int
    packs: list[StoredObject]
    put_packs: list[bytes]
    upload_key: str
    chunks_key: str

    @classmethod
    def of(cls, content: bytes, manifest: ChunkManifest | None = None) -> ForgedUpload:
        """An honest upload of ``content`` in one chunk and one pack."""
        upload_key = f"uploads/{token_hex(8)}"
        digest = digest_of(content)
        pack = StoredObject(f"{upload_key}/{digest[7:]}", digest, len(content))
        return cls(
            manifest=encode_manifest(manifest or manifest_of([content])),
            digest=digest,
            size_bytes=len(content),
            packs=[pack],
            put_packs=[content],
            upload_key=upload_key,
            chunks_key=f"{upload_key}/manifest",
        )

    async def register(
        self, fleet: Fleet, store: ObjectStore, name: str, *, version: str = "1.0"
    ) -> ModelRegistered:
        """Put everything into the store, and ask the registry for ``name:version``."""
        put = {pack.key: each for pack, each in zip(self.packs, self.put_packs, strict=False)}
        if self.chunks_key.startswith("uploads/"):
            put[self.chunks_key] = self.manifest
        await bucket.put_all(store, put)
        chunks = StoredObject(self.chunks_key, manifest_digest(self.manifest), len(self.manifest))
        request = RegisterModel(
            name=ModelName(name),
            version=Version(version),
            digest=self.digest,
            size_bytes=self.size_bytes,
            upload_key=self.upload_key,
            chunks=chunks,
            packs=tuple(self.packs),
        )
        registered: ModelRegistered = await ask(fleet.connection, request)
        return registered
