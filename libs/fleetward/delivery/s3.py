"""Clients of an S3 store, each with keys of its own, in milliseconds after the first.

botocore reads a megabyte of JSON about S3 once for each session: a tenth of a second of processor
time. So a process has one session, and every client is told its keys.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aioboto3
    from aiobotocore.config import AioConfig
    from types_aiobotocore_s3.client import S3Client

REGION = "us-east-1"
"""Signatures name one; a store of one's own has none."""


def s3_client(
    endpoint: str, access_key: str, secret_key: str, config: AioConfig | None = None
) -> AbstractAsyncContextManager[S3Client]:
    """Connect to the store at ``endpoint`` for the length of a block; buckets are named in paths.

    config: whatever else is to be other than botocore has it. To be called in one thread alone.
    """
    from aiobotocore.config import AioConfig

    by_path = AioConfig(s3={"addressing_style": "path"})
    return _session().client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=REGION,
        verify=None if endpoint.startswith("https:") else False,  # no certificates to load
        config=by_path.merge(config) if config else by_path,
    )


@cache
def _session() -> aioboto3.Session:
    import aioboto3  # half a second to load, and robots have none

    return aioboto3.Session()
