"""A supervisor that a test may kill: ``python -m tests.faults.supervisor HOME MODELS ROBOTS``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from fleetward.local.child import Child
from tests.faults.conftest import running

READY = "the system is up"


async def supervise(home: Path, models: Path, robots: int) -> None:
    """Run a system, say so, and go on until something ends us."""
    async with running(home, models, robots, launch=Child.start):
        print(READY, flush=True)  # noqa: T201 (the test waits for it)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(supervise(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
