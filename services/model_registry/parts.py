"""Sends a file to the object store in parts, one in memory at a time, and shows it only whole.

aioboto3's own transfer reads a hundred parts ahead; with fewer it waits for ever once all of its
senders have failed.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client
    from types_aiobotocore_s3.type_defs import CompletedPartTypeDef

PART_BYTES = 16 * 1024 * 1024
"""S3 takes 10,000 parts: room for files of 160 GB."""


async def send_file(client: S3Client, bucket: str, key: str, path: Path) -> None:
    """Make ``path`` the object at ``key``; raises what botocore raises, and then leaves nothing."""
    begun = await client.create_multipart_upload(Bucket=bucket, Key=key)
    upload_id = begun["UploadId"]
    try:
        parts = await _sent(client, bucket, key, upload_id, path)
        await client.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )
    except BaseException:
        await client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        raise


async def _sent(
    client: S3Client, bucket: str, key: str, upload_id: str, path: Path
) -> list[CompletedPartTypeDef]:
    parts: list[CompletedPartTypeDef] = []
    with path.open("rb") as file:
        while content := await asyncio.to_thread(file.read, PART_BYTES):
            sent = await client.upload_part(
                Bucket=bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=len(parts) + 1,
                Body=content,
            )
            parts.append({"ETag": sent["ETag"], "PartNumber": len(parts) + 1})
    return parts
