"""Sends a file straight to the object store in parts; the bus carries only what it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fleetward.client.access import StoreAccess
from fleetward.client.errors import UploadError

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
ATTEMPTS = 3

Progress = Callable[[int, int], None]


class Uploads:
    """The upload area of one object store; made by ``open_uploads``."""

    def __init__(self, client: S3Client, access: StoreAccess) -> None:
        self._client = client
        self._access = access

    async def put(self, path: Path, key: str, size_bytes: int, progress: Progress) -> None:
        """Send a file in parts, telling ``progress`` (sent, total) after each; raises UploadError."""
        import aiohttp
        from botocore.exceptions import BotoCoreError, ClientError

        sent = 0

        def count(more: int) -> None:
            nonlocal sent
            sent += more
            progress(sent, size_bytes)

        try:
            await self._client.upload_file(str(path), self._access.bucket, key, Callback=count)
        except (BotoCoreError, ClientError, aiohttp.ClientError, OSError) as error:
            raise UploadError(
                f"{path} was not uploaded to {self._access.endpoint} ({error}). "
                "Nothing was published; push again."
            ) from error

    async def remove(self, key: str) -> None:
        """Remove what was sent; raises UploadError."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            await self._client.delete_object(Bucket=self._access.bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise UploadError(f"{key} could not be removed ({error}); it expires.") from error


@asynccontextmanager
async def open_uploads(access: StoreAccess) -> AsyncIterator[Uploads]:
    """Connect to the object store for as long as the block runs."""
    import aioboto3
    from aiobotocore.config import AioConfig

    # "standard" does not retry a wrong checksum (BadDigest): the file on disk is what is wrong.
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        s3={"addressing_style": "path"},
    )
    session = aioboto3.Session(
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        region_name="us-east-1",
    )
    async with session.client("s3", endpoint_url=access.endpoint, config=config) as client:
        yield Uploads(client, access)
