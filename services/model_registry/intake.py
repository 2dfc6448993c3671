"""Takes an upload apart, has its file rebuilt and inspected, and keeps what was verified."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, structs

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import UPLOADS_PREFIX, RegisterModel, StoredObject
from fleetward.delivery.errors import LayoutError, ManifestError
from fleetward.delivery.layout import layout_of
from fleetward.delivery.manifest import (
    MAX_MANIFEST_BYTES,
    MAX_PACK_BYTES,
    ChunkManifest,
    decode_manifest,
    encode_manifest,
    manifest_digest,
)
from model_registry import verification
from model_registry.errors import (
    ModelRefusedError,
    ObjectMissingError,
    UploadIncompleteError,
    UploadKeyError,
    UploadMissingError,
)
from model_registry.keys import manifest_key, pack_key
from model_registry.objects import ModelObjects, SeenObject
from model_registry.rebuilding import rebuild
from model_registry.scratch import Scratch

_UPLOAD_KEY = re.compile(rf"\A{UPLOADS_PREFIX}[a-z0-9-]{{1,64}}\Z")
_OBJECT_NAME = re.compile(r"\A[a-z0-9]{1,64}\Z")


class Upload(Struct, frozen=True):
    """What a client says that a file is, and the new packs as they stood when looked at."""

    manifest: ChunkManifest
    packs: Mapping[Digest, SeenObject]


class VerifiedUpload(Struct, frozen=True):
    """An upload whose every byte was hashed here, with the manifest that the registry wrote of it.

    ``chunks`` says where that manifest, ``encoded``, shall lie.
    """

    packs: Mapping[Digest, SeenObject]
    path: Path
    digest: Digest
    encoded: bytes
    chunks: StoredObject


class Intake:
    """What becomes of uploads in one registry's bucket."""

    def __init__(self, objects: ModelObjects, scratch: Scratch) -> None:
        self._objects = objects
        self._scratch = scratch

    async def look(self, request: RegisterModel) -> Upload:
        """The upload that ``request`` names; no pack is read yet.

        Raises UploadKeyError, UploadMissingError, UploadIncompleteError, DigestMismatchError.
        """
        if request.chunks is None:
            raise UploadIncompleteError(
                f"{request.name}:{request.version} was uploaded without a chunk manifest. Push it "
                "with a fleetward as new as the registry's."
            )
        seen = await self.seen(request.upload_key, request.chunks, MAX_MANIFEST_BYTES)
        content = await self._objects.read(seen)
        verification.refuse_other(request.chunks, manifest_digest(content))
        manifest = await asyncio.to_thread(_decoded, content)
        packs = {
            pack.digest: await self.seen(request.upload_key, pack, MAX_PACK_BYTES)
            for pack in request.packs
        }
        needed = frozenset(manifest.packs())
        return Upload(manifest, {digest: packs[digest] for digest in packs if digest in needed})

    async def rebuilt(self, upload: Upload, request: RegisterModel, path: Path) -> VerifiedUpload:
        """The upload's file, at ``path``, when it is what the request says; raises RegistryError."""
        digest = await rebuild(self._objects, upload.manifest, upload.packs, path, self._scratch)
        verification.refuse_digest(request, digest)
        encoded = await asyncio.to_thread(_encoded, upload.manifest, digest, path)
        name = manifest_digest(encoded)
        chunks = StoredObject(manifest_key(name), name, len(encoded))
        return VerifiedUpload(upload.packs, path, digest, encoded, chunks)

    async def keep(self, upload: VerifiedUpload) -> None:
        """Keep packs and manifest under their digests for good. Doing it twice is harmless.

        What is kept here is not visible before a record names it.
        """
        for digest, seen in upload.packs.items():
            await self._objects.adopt(seen, pack_key(digest))
        await self._objects.keep(upload.chunks.key, upload.encoded)

    async def seen(self, upload_key: str, claimed: StoredObject, limit_bytes: int) -> SeenObject:
        """An uploaded object as it stands, when it lies and is as large as the client says.

        Raises UploadKeyError, UploadMissingError, UploadIncompleteError.
        """
        folder, _, name = claimed.key.rpartition("/")
        if folder != upload_key or _OBJECT_NAME.match(name) is None:
            raise UploadKeyError(
                f"{claimed.key!r} is not below the upload {upload_key}. Push the file again."
            )
        try:
            seen = await self._objects.look(claimed.key)
        except ObjectMissingError as error:
            raise UploadMissingError(
                f"There is no upload at {claimed.key}. Push the file again."
            ) from error
        if seen.size_bytes != claimed.size_bytes or not 0 < seen.size_bytes <= limit_bytes:
            raise UploadIncompleteError(
                f"The upload at {claimed.key} is {seen.size_bytes} bytes, {claimed.size_bytes} were "
                f"announced and {limit_bytes} are the most. Push the file again."
            )
        return seen


def _decoded(content: bytes) -> ChunkManifest:
    try:
        return decode_manifest(content)
    except ManifestError as error:
        raise ModelRefusedError(
            f"The chunk manifest is refused: {error} Push the file again."
        ) from error


def _encoded(manifest: ChunkManifest, digest: Digest, path: Path) -> bytes:
    """The manifest with what the registry itself read of the file, not what the client says."""
    try:
        layout = layout_of(path)
        header = structs.replace(
            manifest.header, digest=digest, file_format=layout.file_format, tensors=layout.tensors
        )
        return encode_manifest(ChunkManifest(header, manifest.chunks))
    except (LayoutError, ManifestError) as error:
        raise ModelRefusedError(f"The file is refused: {error}") from error


def refuse_foreign_key(upload_key: str) -> None:
    """Raises UploadKeyError unless uploads may lie there."""
    if _UPLOAD_KEY.match(upload_key) is None:
        raise UploadKeyError(
            f"{upload_key!r} is not the key of an upload. Upload to {UPLOADS_PREFIX}<token>/ and "
            "name that."
        )
