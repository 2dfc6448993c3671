"""One at a time, on this machine: whoever tells the server of an older state would undo what was voided."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path


@asynccontextmanager
async def alone_at(lock: Path) -> AsyncIterator[None]:
    """No other block with this file runs, in this process or another; a killed holder holds nothing."""
    with lock.open("wb") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
