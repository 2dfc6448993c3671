"""A bridge's slots on the source that the environment names, in a process that ROS 2 was sourced for.

python -m tests.integration.edge_ros2.bridge_process DIRECTORY SILENCE_S; says SERVING, and ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from msgspec.structs import replace

from edge_bridge.settings import settings_from
from edge_bridge.sources.choice import frames_of
from edge_bridge.workers.slots import Slots
from fleetward.bus.process import exit_status, stop_signal
from tests.integration.edge_slots.rig import SETTINGS
from tests.integration.edge_slots.tiny_models import brightness

SERVING = "serving"


async def serve(directory: Path, silence_s: float) -> None:
    stopping = stop_signal()
    settings = settings_from(os.environ)
    assert settings.ros2 is not None
    soon = replace(settings.ros2, silence_s=silence_s)
    frames = frames_of(replace(settings, ros2=soon))
    assert frames.on_result is not None
    slots = Slots(
        SETTINGS,
        frames.source,
        on_result=frames.on_result,
        on_fallback=lambda _: None,
        on_green_lost=lambda _: None,
        on_shadowed=lambda _: None,
    )
    pump = asyncio.create_task(slots.run())
    await slots.stage(brightness(directory, "v1"))
    await slots.swap()
    sys.stdout.write(SERVING + "\n")
    sys.stdout.flush()
    await stopping.wait()
    pump.cancel()
    await asyncio.gather(pump, return_exceptions=True)
    await slots.close()


if __name__ == "__main__":
    sys.exit(
        exit_status("bridge", lambda: asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]))))
    )
