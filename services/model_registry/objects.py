"""The bytes in S3: look, read ranges, keep under a name for good, hand out links."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from fleetward.contracts.engines import ENGINES_PREFIX
from fleetward.contracts.recordings import RECORDINGS_PREFIX
from fleetward.contracts.registry import UPLOADS_PREFIX
from fleetward.contracts.segments import SEGMENTS_PREFIX
from fleetward.delivery.s3 import s3_client
from model_registry.errors import DigestMismatchError, ObjectMissingError, ObjectStoreError
from model_registry.parts import send_file
from model_registry.retention import StoredEntry
from model_registry.settings import StoreSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchBucket"})
_PRECONDITION = "PreconditionFailed"
_FAILURES = (BotoCoreError, ClientError, aiohttp.ClientError, asyncio.TimeoutError)


class SeenObject(Struct, frozen=True, kw_only=True):
    """An object as it stood when looked at; ``etag`` names exactly that state of it."""

    key: str
    size_bytes: int
    etag: str
    told: Mapping[str, str] = {}
    """What was said of it when it was made."""


class ModelObjects:
    """The bucket of one registry. Made by ``open_objects``."""

    def __init__(self, inner: S3Client, public: S3Client, settings: StoreSettings) -> None:
        self._inner = inner
        self._public = public
        self._settings = settings
        self._bucket = settings.bucket

    async def prepare(self) -> None:
        """Make the bucket when there is none."""
        try:
            await self._inner.head_bucket(Bucket=self._bucket)
        except ClientError as error:
            if _code(error) not in _ABSENT:
                raise _failure("look at the bucket", error) from error
            await self._inner.create_bucket(Bucket=self._bucket)

    async def look(self, key: str) -> SeenObject:
        """What lies at a key; raises ObjectMissingError."""
        try:
            head = await self._inner.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in _ABSENT:
                raise ObjectMissingError(f"There is no object at {key}.") from error
            raise _failure(f"look at {key}", error) from error
        except _FAILURES as error:
            raise _failure(f"look at {key}", error) from error
        size_bytes, told = head["ContentLength"], head.get("Metadata", {})
        return SeenObject(key=key, size_bytes=size_bytes, etag=head["ETag"], told=told)

    async def read(self, seen: SeenObject, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of an object, all of them or a range, as it stood when it was seen.

        A connection that breaks or stalls is taken up again where it stopped.
        """
        wanted = seen.size_bytes - start if length is None else length
        content = bytearray()
        problem: Exception | None = None
        for _ in range(self._settings.attempts):
            try:
                await self._read_into(content, seen, start, wanted)
            except _FAILURES as error:
                problem = error
                continue
            if len(content) == wanted:
                return bytes(content)
        raise _failure(f"read {wanted} bytes of {seen.key}", problem) from problem

    async def adopt(self, seen: SeenObject, key: str) -> None:
        """Copy the very bytes that were verified to a key, once; others win harmlessly.

        The copy is refused when the object changed since it was seen.
        """
        try:
            await self._inner.copy_object(
                Bucket=self._bucket,
                Key=key,
                CopySource={"Bucket": self._bucket, "Key": seen.key},
                CopySourceIfMatch=seen.etag,
                IfNoneMatch="*",
            )
        except ClientError as error:
            if _code(error) != _PRECONDITION:
                raise _failure(f"copy {seen.key}", error) from error
            await self._expect_kept(key, seen.size_bytes)
        except _FAILURES as error:
            raise _failure(f"copy {seen.key}", error) from error

    async def keep(self, key: str, content: bytes) -> None:
        """Write an object whose key names its content, once; others win harmlessly."""
        try:
            await self._inner.put_object(
                Bucket=self._bucket, Key=key, Body=content, IfNoneMatch="*"
            )
        except ClientError as error:
            if _code(error) != _PRECONDITION:
                raise _failure(f"write {key}", error) from error
            await self._expect_kept(key, len(content))
        except _FAILURES as error:
            raise _failure(f"write {key}", error) from error

    async def replace(self, key: str, content: bytes) -> None:
        """Write an object whose key names its content over whatever lies there."""
        try:
            await self._inner.put_object(Bucket=self._bucket, Key=key, Body=content)
        except _FAILURES as error:
            raise _failure(f"write {key}", error) from error

    async def keep_file(self, key: str, path: Path) -> None:
        """Write a file's bytes to a key that names them, unless they are there."""
        try:
            if (await self.look(key)).size_bytes == path.stat().st_size:
                return
        except ObjectMissingError:
            pass
        try:
            await send_file(self._inner, self._bucket, key, path)
        except _FAILURES as error:
            raise _failure(f"write {key}", error) from error

    async def link(self, key: str) -> str:
        """A URL anybody may GET ranges from until ``grant_s`` have passed."""
        return await self._public.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": key},
            ExpiresIn=self._settings.grant_s,
        )

    async def remove(self, key: str) -> None:
        """Remove an object; one that is gone already is fine."""
        try:
            await self._inner.delete_object(Bucket=self._bucket, Key=key)
        except _FAILURES as error:
            raise _failure(f"remove {key}", error) from error

    async def remove_all(self, prefix: str) -> None:
        """Remove every object whose key begins so."""
        try:
            pages = self._inner.get_paginator("list_objects_v2")
            async for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for entry in page.get("Contents", ()):
                    await self.remove(entry["Key"])
        except _FAILURES as error:
            raise _failure(f"list {prefix}", error) from error

    async def entries(self, prefix: str) -> list[StoredEntry]:
        """Every object whose key begins so, as it stands; raises ObjectStoreError."""
        found: list[StoredEntry] = []
        try:
            pages = self._inner.get_paginator("list_objects_v2")
            async for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                found += [
                    StoredEntry(
                        key=entry["Key"],
                        size_bytes=entry["Size"],
                        modified_at=entry["LastModified"],
                    )
                    for entry in page.get("Contents", ())
                ]
        except _FAILURES as error:
            raise _failure(f"list {prefix}", error) from error
        return found

    async def remove_stale_uploads(self, now: datetime) -> int:
        """Remove uploads whose client never came back for ``stale_upload_s``; say how many."""
        oldest = now - timedelta(seconds=self._settings.stale_upload_s)
        removed = 0
        pages = self._inner.get_paginator("list_objects_v2")
        async for page in pages.paginate(Bucket=self._bucket, Prefix=UPLOADS_PREFIX):
            for entry in page.get("Contents", ()):
                if entry["LastModified"] < oldest:
                    await self.remove(entry["Key"])
                    removed += 1
        return removed + await self._abort_unfinished(oldest)

    async def _abort_unfinished(self, oldest: datetime) -> int:
        """Parts of an upload that was cut off are no object yet, and take room all the same."""
        prefixes = (UPLOADS_PREFIX, RECORDINGS_PREFIX, SEGMENTS_PREFIX, ENGINES_PREFIX)
        return sum([await self._abort_unfinished_of(prefix, oldest) for prefix in prefixes])

    async def _abort_unfinished_of(self, prefix: str, oldest: datetime) -> int:
        aborted = 0
        pages = self._inner.get_paginator("list_multipart_uploads")
        async for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
            for upload in page.get("Uploads", ()):
                if upload["Initiated"] < oldest:
                    await self._inner.abort_multipart_upload(
                        Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    aborted += 1
        return aborted

    async def _read_into(
        self, content: bytearray, seen: SeenObject, start: int, wanted: int
    ) -> None:
        if len(content) == wanted:
            return
        answer = await self._inner.get_object(
            Bucket=self._bucket,
            Key=seen.key,
            IfMatch=seen.etag,
            Range=f"bytes={start + len(content)}-{start + wanted - 1}",
        )
        async for chunk in answer["Body"].iter_chunks(self._settings.chunk_bytes):
            content += chunk

    async def _expect_kept(self, key: str, size_bytes: int) -> None:
        try:
            kept = await self.look(key)
        except ObjectMissingError as error:
            raise DigestMismatchError(
                f"What became {key} changed while it was verified. Push the file again."
            ) from error
        if kept.size_bytes != size_bytes:
            raise ObjectStoreError(
                f"{key} holds {kept.size_bytes} bytes where {size_bytes} belong: the bucket was "
                "written to by somebody else. Remove that object and push again."
            )
        await self._touch(kept)

    async def _touch(self, kept: SeenObject) -> None:
        """What nothing named for long is wanted again: it counts as young for the pruner."""
        try:
            await self._inner.copy_object(
                Bucket=self._bucket,
                Key=kept.key,
                CopySource={"Bucket": self._bucket, "Key": kept.key},
                CopySourceIfMatch=kept.etag,
                MetadataDirective="REPLACE",
            )
        except _FAILURES as error:
            raise _failure(f"keep {kept.key}", error) from error


@asynccontextmanager
async def open_objects(settings: StoreSettings) -> AsyncIterator[ModelObjects]:
    """Connect to the object store for as long as the block runs."""
    async with (
        store_client(settings, settings.endpoint) as inner,
        store_client(settings, settings.public_endpoint) as public,
    ):
        yield ModelObjects(inner, public, settings)


def store_client(settings: StoreSettings, endpoint: str) -> AbstractAsyncContextManager[S3Client]:
    """A connection to the store, for the length of a block."""
    # "standard" retries neither a wrong checksum (BadDigest) nor any other refusal; "legacy" does.
    config = AioConfig(
        signature_version="s3v4",
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
    )
    return s3_client(endpoint, settings.access_key, settings.secret_key, config)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _failure(what: str, error: Exception | None) -> ObjectStoreError:
    return ObjectStoreError(
        f"The object store could not {what} ({error}). Nothing was published; push again."
    )
