"""Sends objects straight to the object store in parts; the bus carries only what they are."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fleetward.client.access import StoreAccess
from fleetward.client.errors import ClientError, UploadError
from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import StoredObject
from fleetward.delivery.s3 import s3_client

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
ATTEMPTS = 3
PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2

Progress = Callable[[int, int], None]
"""Called with bytes sent so far and bytes in all."""


class Uploads:
    """A way to send objects to the store; made by ``open_uploads``."""

    def __init__(self, client: S3Client, access: StoreAccess) -> None:
        self._client = client
        self._access = access

    async def put(
        self, key: str, content: bytes, digest: Digest, sent: Callable[[int], None]
    ) -> StoredObject:
        """Send an object in parts, telling ``sent`` of each part's bytes; raises UploadError.

        One that an earlier push sent stays as it is: the registry hashes it in any case.
        """
        import aiohttp
        from boto3.s3.transfer import TransferConfig  # type: ignore[import-untyped]  # ships no types
        from botocore.exceptions import BotoCoreError, ClientError

        config = TransferConfig(multipart_chunksize=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        try:
            if await self._stands(key, len(content)):
                sent(len(content))
                return StoredObject(key, digest, len(content))
            await self._client.upload_fileobj(
                io.BytesIO(content), self._access.bucket, key, Callback=sent, Config=config
            )
        except (BotoCoreError, ClientError, aiohttp.ClientError, OSError) as error:
            raise UploadError(
                f"The model was not uploaded to {self._access.endpoint} ({error}). "
                "Nothing was published; push again, and what was sent is not sent again."
            ) from error
        return StoredObject(key, digest, len(content))

    async def _stands(self, key: str, size_bytes: int) -> bool:
        """Whether an earlier push sent this object whole; whoever may not know sends it again."""
        from botocore.exceptions import ClientError

        try:
            head = await self._client.head_object(Bucket=self._access.bucket, Key=key)
        except ClientError:
            return False
        return head["ContentLength"] == size_bytes


@asynccontextmanager
async def open_uploads(access: StoreAccess | None) -> AsyncIterator[Uploads]:
    """Connect to the object store for as long as the block runs; raises ClientError without one."""
    if access is None:
        raise ClientError(
            "Nothing says where to upload. Set FLEETWARD_S3_ENDPOINT, FLEETWARD_S3_ACCESS_KEY "
            "and FLEETWARD_S3_SECRET_KEY, or connect to a home directory."
        )
    from aiobotocore.config import AioConfig

    # "standard" does not retry a wrong checksum (BadDigest): the file on disk is what is wrong.
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    )
    store = s3_client(access.endpoint, access.access_key, access.secret_key, config)
    async with store as client:
        yield Uploads(client, access)
