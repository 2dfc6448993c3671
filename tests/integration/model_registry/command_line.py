"""``fleetward`` as a process of its own, that finds its system by its environment."""

from __future__ import annotations

import asyncio
import os
import sys

from fleetward.client.access import Access


def environment_of(access: Access) -> dict[str, str]:
    """What tells a command of ``access``."""
    assert access.store is not None
    return {
        "FLEETWARD_NATS_URL": access.bus.url,
        "FLEETWARD_CREDENTIALS": str(access.bus.credentials),
        "FLEETWARD_S3_ENDPOINT": access.store.endpoint,
        "FLEETWARD_S3_ACCESS_KEY": access.store.access_key,
        "FLEETWARD_S3_SECRET_KEY": access.store.secret_key,
    }


async def started(access: Access, *words: str) -> asyncio.subprocess.Process:
    """``fleetward <words>`` for ``access``; what it prints is piped."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetward.cli", *words),
        env={**os.environ, **environment_of(access)},
        stdout=asyncio.subprocess.PIPE,
    )
