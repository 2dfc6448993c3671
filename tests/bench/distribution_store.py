"""Puts a model of random bytes into the store as publishing does: packs of chunks and a manifest."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import aioboto3
from aiobotocore.config import AioConfig

from fleetward.contracts.ids import Digest, ModelName, ModelRef, Version
from fleetward.contracts.registry import ModelManifest, StoredObject
from fleetward.delivery.manifest import (
    MAX_CHUNK_BYTES,
    MAX_PACK_BYTES,
    Chunk,
    ChunkManifest,
    ManifestHeader,
    PackRun,
    encode_manifest,
)
from testkit.servers import ObjectStore
from tests.bench.distribution_robot import Published

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client


async def publish(store: ObjectStore, path: Path, size_bytes: int) -> Published:
    """Write ``size_bytes`` of random bytes to ``path`` and put them into the store, both ways."""
    keys = store.keys.registry
    session = aioboto3.Session(keys.access_key, keys.secret_key, region_name="us-east-1")
    config = AioConfig(signature_version="s3v4", s3={"addressing_style": "path"})
    async with session.client("s3", endpoint_url=store.endpoint, config=config) as client:
        bucket = _Bucket(client, store.bucket)
        chunks, runs, packs = await _packs(bucket, path, size_bytes)
        digest = _file_digest(path)
        header = ManifestHeader(
            digest=digest, size_bytes=size_bytes, file_format="opaque", runs=tuple(runs)
        )
        stored = await bucket.put("manifests", encode_manifest(ChunkManifest(header, chunks)))
        await client.upload_file(str(path), store.bucket, "models/whole")
        return Published(
            manifest=_manifest(digest, size_bytes, stored),
            chunks_url=await bucket.url(stored.key),
            packs=packs,
            whole_url=await bucket.url("models/whole"),
        )


class _Bucket:
    def __init__(self, client: S3Client, name: str) -> None:
        self._client = client
        self._name = name

    async def put(self, kind: str, content: bytes) -> StoredObject:
        name = hashlib.sha256(content).hexdigest()
        key = f"{kind}/sha256/{name}"
        await self._client.put_object(Bucket=self._name, Key=key, Body=content)
        return StoredObject(key=key, digest=Digest(f"sha256:{name}"), size_bytes=len(content))

    async def url(self, key: str) -> str:
        return await self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._name, "Key": key}, ExpiresIn=3600
        )


async def _packs(
    bucket: _Bucket, path: Path, size_bytes: int
) -> tuple[tuple[Chunk, ...], list[PackRun], dict[Digest, str]]:
    chunks: list[Chunk] = []
    runs: list[PackRun] = []
    packs: dict[Digest, str] = {}
    with path.open("wb") as file:
        for start in range(0, size_bytes, MAX_PACK_BYTES):
            pack = os.urandom(min(MAX_PACK_BYTES, size_bytes - start))
            file.write(pack)
            stored = await bucket.put("packs", pack)
            packs[stored.digest] = await bucket.url(stored.key)
            first = len(chunks)
            for offset in range(0, len(pack), MAX_CHUNK_BYTES):
                piece = pack[offset : offset + MAX_CHUNK_BYTES]
                chunks.append(Chunk(hashlib.sha256(piece).digest(), start + offset, len(piece)))
            runs.append(PackRun(first, len(chunks) - first, stored.digest, 0))
    return tuple(chunks), runs, packs


def _file_digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")


def _manifest(digest: Digest, size_bytes: int, chunks: StoredObject) -> ModelManifest:
    return ModelManifest(
        model=ModelRef(ModelName("bench"), Version("1")),
        digest=digest,
        size_bytes=size_bytes,
        format="onnx",
        opset=17,
        inputs=(),
        outputs=(),
        release=1,
        published_at=datetime.now(timezone.utc),
        chunks=chunks,
    )
