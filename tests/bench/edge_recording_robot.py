"""A robot's own program that records 1080p pictures as they are at 100 MB/s, and notes how it went.

Once the bridge is ready it writes ``began``, records for so long, and writes ``ended``; then it waits for SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.bridge import Bridge
from edge_bridge.recorder.messages import raw_image
from edge_bridge.settings import settings_from
from edge_bridge.sources.source import PushSource
from fleetward.bus.process import stop_signal, unless_stopped
from fleetward.bus.readiness import notify_ready

NOTES = "BENCH_NOTES_DIR"
SHAPE = (1080, 1920, 3)
PICTURE_BYTES = SHAPE[0] * SHAPE[1] * SHAPE[2]
BYTES_PER_S = 100e6
SECONDS = 15
PICTURES = round(BYTES_PER_S * SECONDS / PICTURE_BYTES)
SMALL_PER_PICTURE = 10
TURN_S = 0.005
QUIET_S = 5.0


class Turns(Struct, frozen=True):
    """Of each turn of the loop: late_s, how late it was, and own_s, but for what it waited for a processor."""

    late_s: list[float] = msgspec.field(default_factory=list)
    own_s: list[float] = msgspec.field(default_factory=list)


class Ended(Struct, frozen=True, kw_only=True):
    """messages: that were to be recorded, lost ones too. quiet: turns before anything was recorded."""

    messages: int
    lost: int
    recorded_s: float
    turns: Turns
    quiet: Turns


async def record(bridge: Bridge, quiet: Turns) -> Ended:
    """At a steady rate, whatever becomes of it."""
    pixels = random.Random(1).randbytes(PICTURE_BYTES)
    turns = Turns()
    turning = asyncio.create_task(_turn(turns))
    began_s, lost = time.monotonic(), 0
    for number in range(PICTURES):
        await asyncio.sleep(
            max(0.0, began_s + number * PICTURE_BYTES / BYTES_PER_S - time.monotonic())
        )
        picture = await asyncio.to_thread(raw_image, pixels, SHAPE, "uint8", time.time_ns())
        lost += not bridge.black_box.log(
            "/camera",
            picture.content,
            at_ns=picture.at_ns,
            encoding=picture.encoding,
            schema_name=picture.schema_name,
            schema_encoding=picture.schema_encoding,
            schema=picture.schema,
        )
        for small in range(SMALL_PER_PICTURE):
            lost += not bridge.black_box.log("/imu", {"picture": number, "turn": small})
    turning.cancel()
    return Ended(
        messages=PICTURES * (1 + SMALL_PER_PICTURE),
        lost=lost,
        recorded_s=time.monotonic() - began_s,
        turns=turns,
        quiet=quiet,
    )


async def _turn(turns: Turns) -> None:
    waited_s = _waited_s()
    while True:
        due_s = time.monotonic() + TURN_S
        await asyncio.sleep(TURN_S)
        late_s, waited_before_s = time.monotonic() - due_s, waited_s
        waited_s = _waited_s()
        turns.late_s.append(late_s)
        turns.own_s.append(max(0.0, late_s - (waited_s - waited_before_s)))


def _waited_s() -> float:
    """How long this thread was ready to run and others had the processors, as the kernel counts it."""
    return int(Path("/proc/thread-self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9


async def serve(notes: Path) -> None:
    """Until SIGTERM."""
    settings = replace(settings_from(os.environ), control_probe_hz=0)
    stopping = stop_signal()
    async with Bridge(settings, source=PushSource()) as bridge:
        await bridge.ready()
        notify_ready()
        quiet = Turns()
        turning = asyncio.create_task(_turn(quiet))
        await asyncio.sleep(QUIET_S)
        turning.cancel()
        (notes / "began").touch()
        ended = await record(bridge, quiet)
        (notes / "ended.partial").write_bytes(msgspec.json.encode(ended))
        (notes / "ended.partial").replace(notes / "ended")
        await unless_stopped(stopping, bridge.failed())


if __name__ == "__main__":
    asyncio.run(serve(Path(os.environ[NOTES])))
