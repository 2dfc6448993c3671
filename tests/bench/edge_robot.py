"""A robot's own program with the bridge inside: 30 frames a second, and a note of how long each took."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from math import inf
from pathlib import Path

from msgspec.structs import replace

from edge_bridge.bridge import Bridge
from edge_bridge.frames import Frame
from edge_bridge.settings import settings_from
from edge_bridge.sources.source import StreamSource
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.process import stop_signal, unless_stopped
from fleetward.bus.readiness import notify_ready

NOTES = "BENCH_NOTES_DIR"
"""The environment's variable that says where to write."""
RATE_HZ = 30
SIDE_PX = 64
ACCOUNT_S = 0.5


async def camera() -> AsyncIterator[Frame]:
    """Grey frames, each at its instant."""
    frame = Frame(bytes(SIDE_PX * SIDE_PX * 3), (SIDE_PX, SIDE_PX, 3))
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while True:
        yield frame
        due_s += 1 / RATE_HZ
        await asyncio.sleep(due_s - loop.time())


async def serve(notes: Path) -> None:
    """Until SIGTERM."""
    settings = replace(settings_from(os.environ), control_probe_hz=0)
    stopping = stop_signal()
    with (notes / "frames").open("a") as frames, (notes / "dropped").open("a") as dropped:

        def note(done: InferenceDone) -> None:
            answered_s = (time.time_ns() - done.captured_ns) / 1e9
            frames.write(f"{inf if done.error else answered_s:.6f}\n")  # no answer is a late one

        async def account() -> None:
            while True:
                dropped.write(f"{bridge.ledger.frames_dropped}\n")
                dropped.flush()
                frames.flush()
                await asyncio.sleep(ACCOUNT_S)

        async with Bridge(settings, source=StreamSource(camera()), on_result=note) as bridge:
            await bridge.ready()
            notify_ready()
            counting = asyncio.create_task(account())
            try:
                await unless_stopped(stopping, bridge.failed())
            finally:
                counting.cancel()


if __name__ == "__main__":
    asyncio.run(serve(Path(os.environ[NOTES])))
