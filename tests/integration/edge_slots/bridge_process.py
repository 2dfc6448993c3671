"""A bridge to be killed: serves a model, prints its worker's process id, waits for its end."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.integration.edge_slots.rig import running
from tests.integration.edge_slots.tiny_models import brightness


async def main(directory: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(directory, "v1"))
        sys.stdout.write(f"{rig.slots.worker_pids['active']}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
