"""Fetches what a link leads to, whole and as it was told, or not at all."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path

from fleetward.client.errors import DownloadError
from fleetward.contracts.ids import Digest

STALL_S = 60.0


async def download(url: str, digest: Digest, path: Path) -> None:
    """Write to ``path`` what hashes to ``digest``; raises DownloadError."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        arrived = await _downloaded(url, partial)
        if arrived != digest:
            raise DownloadError(f"{path.name} arrived as {arrived}, not {digest}. Try again.")
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


async def _downloaded(url: str, path: Path) -> str:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_read=STALL_S, sock_connect=STALL_S)
    hasher = hashlib.sha256()
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.get(url, raise_for_status=True) as answer,
        ):
            with path.open("wb") as file:
                async for block in answer.content.iter_any():
                    hasher.update(block)
                    file.write(block)
    except (aiohttp.ClientError, asyncio.TimeoutError) as problem:
        raise DownloadError(
            f"the store gave no recording: {problem!r}. It keeps a robot's newest ones alone."
        ) from problem
    return f"sha256:{hasher.hexdigest()}"
