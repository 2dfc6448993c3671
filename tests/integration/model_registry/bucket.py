"""Looks into the bucket, and puts things there, with a key that may do all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

from fleetward.delivery.s3 import s3_client
from testkit.servers import ObjectStore

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client


def _client(store: ObjectStore) -> AbstractAsyncContextManager[S3Client]:
    key = store.keys.provisioner
    return s3_client(store.endpoint, key.access_key, key.secret_key)


async def keys_in(store: ObjectStore) -> set[str]:
    """Every object's key."""
    return set(await sizes_in(store))


async def kept_in(store: ObjectStore) -> set[str]:
    """The key of every object that a publish keeps: no upload any more, no delta made later."""
    return {key for key in await keys_in(store) if not key.startswith(("uploads/", "deltas/"))}


async def sizes_in(store: ObjectStore) -> dict[str, int]:
    """Every object's size in bytes, by its key."""
    async with _client(store) as client:
        page = await client.list_objects_v2(Bucket=store.bucket)
    return {entry["Key"]: entry["Size"] for entry in page.get("Contents", ())}


async def contents_of(store: ObjectStore, key: str) -> bytes:
    """One object's bytes."""
    async with opened(store) as contents:
        return await contents(key)


@asynccontextmanager
async def opened(store: ObjectStore) -> AsyncIterator[Callable[[str], Awaitable[bytes]]]:
    """What gives an object's bytes by its key, as often as needed."""
    async with _client(store) as client:

        async def contents(key: str) -> bytes:
            answer = await client.get_object(Bucket=store.bucket, Key=key)
            return await answer["Body"].read()

        yield contents


async def put(store: ObjectStore, key: str, contents: bytes) -> None:
    """Put one object."""
    await put_all(store, {key: contents})


async def put_all(store: ObjectStore, contents: Mapping[str, bytes]) -> None:
    """Put each object at its key."""
    async with _client(store) as client:
        for key, content in contents.items():
            await client.put_object(Bucket=store.bucket, Key=key, Body=content)


async def remove(store: ObjectStore, key: str) -> None:
    """Remove one object."""
    async with _client(store) as client:
        await client.delete_object(Bucket=store.bucket, Key=key)


async def begin_upload(store: ObjectStore, key: str) -> None:
    """Send the first part of an upload, and never come back."""
    async with _client(store) as client:
        begun = await client.create_multipart_upload(Bucket=store.bucket, Key=key)
        await client.upload_part(
            Bucket=store.bucket, Key=key, UploadId=begun["UploadId"], PartNumber=1, Body=b"x" * 100
        )


async def unfinished_in(store: ObjectStore) -> set[str]:
    """The key of every upload that has parts and no object yet."""
    async with _client(store) as client:
        page = await client.list_multipart_uploads(Bucket=store.bucket)
    return {entry["Key"] for entry in page.get("Uploads", ())}
