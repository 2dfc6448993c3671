"""Recordings in the bucket: sent in parts by robots that hold links alone, made whole, hashed, linked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from fleetward.contracts.ids import Digest
from model_registry.errors import ObjectMissingError, ObjectStoreError
from model_registry.objects import ModelObjects, SeenObject, store_client
from model_registry.retention import StoredEntry
from model_registry.settings import StoreSettings

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

_FAILURES = (BotoCoreError, ClientError, aiohttp.ClientError, asyncio.TimeoutError)
_NO_UPLOAD = frozenset({"NoSuchUpload", "404", "NotFound"})
_READ_BYTES = 4 * 1024 * 1024


class ArrivedPart(Struct, frozen=True, kw_only=True):
    """One part as it stands; ``etag`` names exactly that state of it."""

    number: int
    size_bytes: int
    etag: str

    @property
    def md5(self) -> str:
        """What the store says its bytes hash to, as long as it names parts so."""
        return self.etag.strip('"')


class RecordingObjects:
    """The part of the bucket that robots write to, through links to single parts."""

    def __init__(
        self, objects: ModelObjects, inner: S3Client, public: S3Client, settings: StoreSettings
    ) -> None:
        self._objects = objects
        self._inner = inner
        self._public = public
        self._settings = settings
        self._bucket = settings.bucket

    async def begin(self, key: str, told: Mapping[str, str]) -> str:
        """The id of a new upload to ``key``; ``told`` is kept with what becomes of it."""
        try:
            begun = await self._inner.create_multipart_upload(
                Bucket=self._bucket, Key=key, Metadata=told
            )
        except _FAILURES as error:
            raise _failed(f"begin {key}", error) from error
        return begun["UploadId"]

    async def abandon(self, prefix: str) -> None:
        """End every unfinished upload whose key begins so, and forget its parts."""
        try:
            pages = self._inner.get_paginator("list_multipart_uploads")
            async for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for upload in page.get("Uploads", ()):
                    await self.abort(upload["Key"], upload["UploadId"])
        except _FAILURES as error:
            raise _failed(f"look for uploads of {prefix}", error) from error

    async def abort(self, key: str, upload_id: str) -> None:
        """Forget an upload; one that is gone already is fine."""
        with suppress(ClientError):
            await self._inner.abort_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id
            )

    async def arrived(self, key: str, upload_id: str) -> list[ArrivedPart] | None:
        """The parts that stand, by number; None when there is no such upload to ``key``."""
        found: list[ArrivedPart] = []
        try:
            pages = self._inner.get_paginator("list_parts")
            async for page in pages.paginate(Bucket=self._bucket, Key=key, UploadId=upload_id):
                found += [
                    ArrivedPart(
                        number=part["PartNumber"], size_bytes=part["Size"], etag=part["ETag"]
                    )
                    for part in page.get("Parts", ())
                ]
        except ClientError as error:
            if _is_no_upload(error):
                return None
            raise _failed(f"list the parts of {key}", error) from error
        except _FAILURES as error:
            raise _failed(f"list the parts of {key}", error) from error
        return found

    async def link_to_part(self, key: str, upload_id: str, number: int) -> str:
        """A URL that this one part may be PUT to until ``grant_s`` have passed."""
        return await self._public.generate_presigned_url(
            "upload_part",
            Params={
                "Bucket": self._bucket,
                "Key": key,
                "UploadId": upload_id,
                "PartNumber": number,
            },
            ExpiresIn=self._settings.grant_s,
        )

    async def complete(self, key: str, upload_id: str, parts: list[ArrivedPart]) -> bool:
        """Make exactly these parts the object at ``key``; False: there is no such upload any more.

        Another replica that was asked the same may have been first.
        """
        named: list[CompletedPartTypeDef] = [
            {"ETag": part.etag, "PartNumber": part.number} for part in parts
        ]
        try:
            await self._inner.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": named}
            )
        except ClientError as error:
            if _is_no_upload(error):
                return False
            raise _failed(f"put {key} together", error) from error
        except _FAILURES as error:
            raise _failed(f"put {key} together", error) from error
        return True

    async def digest(self, key: str) -> Digest | None:
        """What the bytes at ``key`` hash to, read in pieces; None when nothing is there."""
        try:
            seen = await self._objects.look(key)
        except ObjectMissingError:
            return None
        hasher = hashlib.sha256()
        for start in range(0, seen.size_bytes, _READ_BYTES):
            length = min(_READ_BYTES, seen.size_bytes - start)
            hasher.update(await self._objects.read(seen, start, length))
        return Digest(f"sha256:{hasher.hexdigest()}")

    async def seen(self, key: str) -> SeenObject | None:
        """The object at ``key``, unread; None when nothing is there."""
        try:
            return await self._objects.look(key)
        except ObjectMissingError:
            return None

    async def link(self, key: str) -> str:
        """A URL that the object may be read from."""
        return await self._objects.link(key)

    async def remove(self, key: str) -> None:
        """Remove an object; one that is gone already is fine."""
        await self._objects.remove(key)

    async def keep_newest(self, prefix: str, count: int) -> int:
        """Remove all but the newest ``count`` objects whose key begins so; say how many."""
        entries = sorted(await self._objects.entries(prefix), key=lambda entry: entry.modified_at)
        old = entries[: max(0, len(entries) - count)]
        for entry in old:
            await self.remove(entry.key)
        return len(old)

    async def page(self, prefix: str, after: str) -> tuple[list[StoredEntry], bool]:
        """Objects whose key begins so and comes after ``after``, in the order of keys, and whether there are more.

        As many as the store says at once: 1,000. After a page without any there is nothing to go on from.
        """
        try:
            page = await self._inner.list_objects_v2(
                Bucket=self._bucket, Prefix=prefix, StartAfter=after
            )
        except _FAILURES as error:
            raise _failed(f"list {prefix}", error) from error
        entries = [
            StoredEntry(
                key=entry["Key"], size_bytes=entry["Size"], modified_at=entry["LastModified"]
            )
            for entry in page.get("Contents", ())
        ]
        return entries, bool(entries) and page["IsTruncated"]

    async def entries(self, prefix: str) -> AsyncIterator[StoredEntry]:
        """Every object whose key begins so, in the order of keys; pages are asked for as they are needed."""
        after, more = "", True
        while more:
            entries, more = await self.page(prefix, after)
            for entry in entries:
                yield entry
            after = entries[-1].key if more else ""

    async def keep_within(
        self, prefix: str, limit_bytes: int, limit_count: int | None = None
    ) -> int:
        """Remove the oldest objects whose key begins so until the rest fits; say how many.

        Of one second, which is all that a store may tell, those whose name comes first.
        """
        entries = sorted(
            await self._objects.entries(prefix), key=lambda entry: (entry.modified_at, entry.key)
        )
        over_bytes, removed = sum(entry.size_bytes for entry in entries) - limit_bytes, 0
        over = 0 if limit_count is None else len(entries) - limit_count
        for entry in entries:
            if over_bytes <= 0 and removed >= over:
                break
            await self.remove(entry.key)
            over_bytes, removed = over_bytes - entry.size_bytes, removed + 1
        return removed


@asynccontextmanager
async def open_recordings(
    settings: StoreSettings, objects: ModelObjects
) -> AsyncIterator[RecordingObjects]:
    """Connect to the object store for as long as the block runs."""
    async with (
        store_client(settings, settings.endpoint) as inner,
        store_client(settings, settings.public_endpoint) as public,
    ):
        yield RecordingObjects(objects, inner, public, settings)


def name_of_parts(part_md5s: Sequence[str]) -> str | None:
    """What S3 names an object that was made of parts with these MD5s; None when they are no MD5s."""
    try:
        whole = bytes.fromhex("".join(part_md5s))
    except ValueError:
        return None
    return f"{hashlib.md5(whole, usedforsecurity=False).hexdigest()}-{len(part_md5s)}"


def _is_no_upload(error: ClientError) -> bool:
    return error.response.get("Error", {}).get("Code") in _NO_UPLOAD


def _failed(what: str, error: Exception) -> ObjectStoreError:
    return ObjectStoreError(f"The object store would not {what}: {error}. It is asked again later.")
