"""The real S3 store gives each key what it is for, and keeps what it was given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from fleetward.delivery.s3 import s3_client
from fleetward.local import object_store as store
from fleetward.local.object_store import AccessKey
from fleetward.local.ports import free_port_pairs
from testkit.servers import ObjectStore

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

UPLOAD, MODEL = "uploads/one", "models/one"
BODY = b"0123456789" * 1000


@asynccontextmanager
async def s3(running: ObjectStore, key: AccessKey) -> AsyncIterator[S3Client]:
    config = AioConfig(signature_version="s3v4")
    client = s3_client(running.endpoint, key.access_key, key.secret_key, config)
    async with client as connected:
        yield connected


async def put_model(running: ObjectStore, key: str = MODEL) -> None:
    async with s3(running, running.keys.registry) as registry:
        await registry.put_object(Bucket=running.bucket, Key=key, Body=BODY)


async def presigned(running: ObjectStore, key: str, seconds: int = 60) -> str:
    async with s3(running, running.keys.registry) as registry:
        return await registry.generate_presigned_url(
            "get_object", Params={"Bucket": running.bucket, "Key": key}, ExpiresIn=seconds
        )


async def test_presigned_url_gives_a_range_of_one_object(object_store: ObjectStore) -> None:
    await put_model(object_store)
    url = await presigned(object_store, MODEL)
    async with httpx.AsyncClient() as robot:
        part = await robot.get(url, headers={"Range": "bytes=10-24"})
    assert (part.status_code, part.content) == (206, BODY[10:25])
    assert part.headers["Content-Range"] == f"bytes 10-24/{len(BODY)}"


@pytest.mark.parametrize("attack", ["no signature", "another object", "another signature"])
async def test_forged_url_is_refused(object_store: ObjectStore, attack: str) -> None:
    await put_model(object_store)
    await put_model(object_store, "models/two")
    honest = await presigned(object_store, MODEL)
    forged = {
        "no signature": honest.split("?")[0],
        "another object": honest.replace(MODEL, "models/two"),
        "another signature": honest[:-4] + "0000",
    }[attack]
    async with httpx.AsyncClient() as robot:
        assert (await robot.get(honest)).status_code == 200
        assert (await robot.get(forged)).status_code in {400, 403}


async def test_url_stops_working_when_it_expires(object_store: ObjectStore) -> None:
    await put_model(object_store)
    url = await presigned(object_store, MODEL, seconds=1)
    async with httpx.AsyncClient() as robot, asyncio.timeout(60):
        assert (await robot.get(url)).status_code == 200
        # Nothing but the store tells that the second has passed.
        while (status := (await robot.get(url)).status_code) == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert status == 403


async def test_operator_uploads_and_writes_nowhere_else(object_store: ObjectStore) -> None:
    await put_model(object_store)
    async with s3(object_store, object_store.keys.operator) as operator:
        await operator.put_object(Bucket=object_store.bucket, Key=UPLOAD, Body=BODY)
        with pytest.raises(ClientError, match="AccessDenied"):
            await operator.put_object(Bucket=object_store.bucket, Key=MODEL, Body=b"evil")
        with pytest.raises(ClientError, match="AccessDenied"):
            await operator.delete_object(Bucket=object_store.bucket, Key=MODEL)
        with pytest.raises(ClientError, match="AccessDenied"):
            await operator.delete_bucket(Bucket=object_store.bucket)


async def test_operator_uploads_large_files_in_parts(object_store: ObjectStore) -> None:
    bucket = object_store.bucket
    part = b"x" * (5 * 1024 * 1024)
    async with s3(object_store, object_store.keys.operator) as operator:
        upload = await operator.create_multipart_upload(Bucket=bucket, Key="uploads/large")
        tags = []
        for number in (1, 2):
            done = await operator.upload_part(
                Bucket=bucket,
                Key="uploads/large",
                UploadId=upload["UploadId"],
                PartNumber=number,
                Body=part,
            )
            tags.append({"PartNumber": number, "ETag": done["ETag"]})
        await operator.complete_multipart_upload(
            Bucket=bucket,
            Key="uploads/large",
            UploadId=upload["UploadId"],
            MultipartUpload={"Parts": tags},  # type: ignore[typeddict-item]  # built just above
        )
    async with s3(object_store, object_store.keys.registry) as registry:
        head = await registry.head_object(Bucket=bucket, Key="uploads/large")
        await registry.delete_object(Bucket=bucket, Key="uploads/large")
    assert head["ContentLength"] == 2 * len(part)


@pytest.mark.parametrize("same_ports", [True, False], ids=["same_ports", "other_ports"])
async def test_objects_survive_kill_9_and_a_new_start(
    object_store: ObjectStore, same_ports: bool
) -> None:
    await put_model(object_store)
    await object_store.kill()
    if not same_ports:
        numbers = free_port_pairs(len(store.SERVERS))
        object_store.ports = store.StorePorts(**dict(zip(store.SERVERS, numbers, strict=True)))
    await object_store.restart()
    async with s3(object_store, object_store.keys.registry) as registry:
        found = await registry.get_object(Bucket=object_store.bucket, Key=MODEL)
        assert await found["Body"].read() == BODY
        await registry.put_object(Bucket=object_store.bucket, Key="models/after", Body=BODY)
