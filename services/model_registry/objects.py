"""The bytes in S3: read an upload once and hash it, adopt it under its digest, hand out links."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import aioboto3
import aiohttp
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import UPLOADS_PREFIX
from model_registry.errors import ObjectStoreError, ScratchSpaceError, UploadMissingError
from model_registry.publication import object_key
from model_registry.settings import StoreSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

_ABSENT = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchBucket"})
_PRECONDITION = "PreconditionFailed"
_FAILURES = (BotoCoreError, ClientError, aiohttp.ClientError, asyncio.TimeoutError)


class Upload(Struct, frozen=True, kw_only=True):
    """An uploaded object as it stood when looked at; ``etag`` names exactly that state of it."""

    key: str
    size_bytes: int
    etag: str


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

    async def upload(self, key: str) -> Upload:
        """What lies at an upload's key; raises UploadMissingError."""
        try:
            head = await self._inner.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if _code(error) in _ABSENT:
                raise UploadMissingError(
                    f"There is no upload at {key}. Push the file again."
                ) from error
            raise _failure("look at the upload", error) from error
        except _FAILURES as error:
            raise _failure("look at the upload", error) from error
        return Upload(key=key, size_bytes=head["ContentLength"], etag=head["ETag"])

    async def fetch(self, upload: Upload, path: Path) -> Digest:
        """Write an upload's bytes to ``path``, hashing each on its way; return what they are.

        A connection that breaks or stalls is taken up again where it stopped.
        """
        try:
            with path.open("wb") as file:
                return await self._fetch_into(upload, _HashingFile(file))
        except OSError as error:
            raise ScratchSpaceError(
                f"{upload.size_bytes} bytes of upload could not be kept in {path.parent}: "
                f"{error.strerror}. Free space there and push again."
            ) from error

    async def adopt(self, upload: Upload, digest: Digest) -> None:
        """Copy the very bytes that were hashed to their digest's key, once; others win harmlessly.

        The copy is refused when the upload changed since it was looked at.
        """
        try:
            await self._inner.copy_object(
                Bucket=self._bucket,
                Key=object_key(digest),
                CopySource={"Bucket": self._bucket, "Key": upload.key},
                CopySourceIfMatch=upload.etag,
                IfNoneMatch="*",
            )
        except ClientError as error:
            if _code(error) != _PRECONDITION:
                raise _failure("copy the upload", error) from error
            await self._expect_adopted(upload, digest)
        except _FAILURES as error:
            raise _failure("copy the upload", error) from error

    async def link(self, digest: Digest) -> str:
        """A URL anybody may GET ranges from until ``grant_s`` have passed."""
        return await self._public.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": object_key(digest)},
            ExpiresIn=self._settings.grant_s,
        )

    async def remove(self, key: str) -> None:
        """Remove an upload; one that is gone already is fine."""
        try:
            await self._inner.delete_object(Bucket=self._bucket, Key=key)
        except _FAILURES as error:
            raise _failure("remove the upload", error) from error

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
        aborted = 0
        pages = self._inner.get_paginator("list_multipart_uploads")
        async for page in pages.paginate(Bucket=self._bucket, Prefix=UPLOADS_PREFIX):
            for upload in page.get("Uploads", ()):
                if upload["Initiated"] < oldest:
                    await self._inner.abort_multipart_upload(
                        Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                    )
                    aborted += 1
        return aborted

    async def _fetch_into(self, upload: Upload, file: _HashingFile) -> Digest:
        problem: Exception | None = None
        for _ in range(self._settings.attempts):
            try:
                await self._fetch_from(upload, file)
            except _FAILURES as error:
                problem = error
                continue
            return file.digest
        raise _failure("read the upload", problem) from problem

    async def _fetch_from(self, upload: Upload, file: _HashingFile) -> None:
        if file.size_bytes == upload.size_bytes:
            return
        answer = await self._inner.get_object(
            Bucket=self._bucket,
            Key=upload.key,
            IfMatch=upload.etag,
            Range=f"bytes={file.size_bytes}-",
        )
        async for chunk in answer["Body"].iter_chunks(self._settings.chunk_bytes):
            await asyncio.to_thread(file.write, chunk)

    async def _expect_adopted(self, upload: Upload, digest: Digest) -> None:
        try:
            head = await self._inner.head_object(Bucket=self._bucket, Key=object_key(digest))
        except ClientError as error:
            raise ObjectStoreError(
                f"The upload at {upload.key} changed while it was verified. Push the file again."
            ) from error
        if head["ContentLength"] != upload.size_bytes:
            raise ObjectStoreError(
                f"{object_key(digest)} holds {head['ContentLength']} bytes where "
                f"{upload.size_bytes} belong: the bucket was written to by somebody else. "
                "Remove that object and push again."
            )


class _HashingFile:
    """A file that knows what was written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def digest(self) -> Digest:
        return Digest(f"sha256:{self._hash.hexdigest()}")

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size_bytes += len(chunk)


@asynccontextmanager
async def open_objects(settings: StoreSettings) -> AsyncIterator[ModelObjects]:
    """Connect to the object store for as long as the block runs."""
    async with (
        _client(settings, settings.endpoint) as inner,
        _client(settings, settings.public_endpoint) as public,
    ):
        yield ModelObjects(inner, public, settings)


def _client(settings: StoreSettings, endpoint: str) -> AbstractAsyncContextManager[S3Client]:
    # "standard" retries neither a wrong checksum (BadDigest) nor any other refusal; "legacy" does.
    config = AioConfig(
        signature_version="s3v4",
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": settings.attempts},
        s3={"addressing_style": "path"},
    )
    session = aioboto3.Session(
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        region_name="us-east-1",
    )
    return session.client("s3", endpoint_url=endpoint, config=config)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _failure(what: str, error: Exception | None) -> ObjectStoreError:
    return ObjectStoreError(
        f"The object store could not {what} ({error}). Nothing was published; push again."
    )
