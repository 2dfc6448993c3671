"""Three days without a hub: what the spool takes of the disk, and how long the hub then has to listen."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from msgspec import Struct

from edge_bridge.settings import StoreLimits
from edge_bridge.telemetry.spool import Spool
from fleetward.local.child import Child, Command
from testkit.servers import running_nats
from tests.bench.measurement import Measurement
from tests.integration.edge_bridge.fleet import ROBOT, Fleet, running_fleet
from tests.unit.edge_bridge_bus.test_spool import frame

MIB = 1024 * 1024
DAYS, DAY_S = 3, 86_400
SYNCED_S = 6 * 3_600
"""The last of it is written as on a robot; before, nothing waits for a disk that has no part in it."""
FRAME_BYTES = 3_000
"""One such frame a second."""
BOOT = "outage"
LIMIT_BYTES = StoreLimits().spool_bytes
MAX_DISK_BYTES = LIMIT_BYTES * 3 // 2 + 4 * MIB
PROGRESS_S = 0.1


class Outage(Struct, frozen=True, kw_only=True):
    """disk_bytes: the most that the spool's files took. frames: what is left to be sent."""

    disk_bytes: int
    frames: int
    slowest_s: float


async def measure() -> list[Measurement]:
    """In the dark, and after it."""
    with tempfile.TemporaryDirectory() as directory:
        async with (
            running_nats(Path(directory) / "system") as system,
            running_fleet(system, Path(directory)) as fleet,
        ):
            state = fleet.settings().state_dir
            state.mkdir()
            outage = await asyncio.to_thread(_in_the_dark, state)
            drain_s, resident_mib = await _drained(fleet, outage.frames)
    return _told(outage, drain_s, resident_mib)


def _told(outage: Outage, drain_s: float, resident_mib: float) -> list[Measurement]:
    return [
        Measurement(
            name=f"{DAYS} days without a hub, a frame of {FRAME_BYTES} bytes a second: the spool on disk",
            value=outage.disk_bytes / MIB,
            unit="MiB",
            goal=f"<= {MAX_DISK_BYTES / MIB:g} MiB",
            met=outage.disk_bytes <= MAX_DISK_BYTES,
        ),
        Measurement(
            name="the slowest frame to be spooled, with what was thinned for it",
            value=outage.slowest_s * 1e3,
            unit="ms",
        ),
        Measurement(
            name=f"the hub is back: {outage.frames:,} frames sent and known to be stored",
            value=drain_s,
            unit="s",
        ),
        Measurement(
            name="the bridge meanwhile: resident memory at most",
            value=resident_mib,
            unit="MiB",
        ),
    ]


def _in_the_dark(state: Path) -> Outage:
    spool, most_bytes, slowest_s = Spool(state / "spool.db", LIMIT_BYTES), 0, 0.0
    end_s, thinned_synced = DAYS * DAY_S, 0
    spool._database.execute("PRAGMA synchronous=OFF")  # see SYNCED_S
    for at_s in range(end_s):
        is_synced = at_s >= end_s - SYNCED_S
        if at_s == end_s - SYNCED_S:
            spool._database.execute("PRAGMA synchronous=FULL")
        began_s = time.monotonic()
        thinned = spool.append(frame(at_s * 10**9, BOOT, FRAME_BYTES))
        if is_synced:
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            thinned_synced += thinned
        if thinned or at_s % 1000 == 0:
            most_bytes = max(most_bytes, sum(path.stat().st_size for path in state.iterdir()))
    assert thinned_synced, "the slowest frame would be one that nothing was thinned for"
    frames = end_s - spool.frames_thinned
    spool.close()
    return Outage(disk_bytes=most_bytes, frames=frames, slowest_s=slowest_s)


async def _drained(fleet: Fleet, frames: int) -> tuple[float, float]:
    """Seconds, and MiB."""
    with _bridge(fleet) as bridge:
        began_s, most_bytes = time.monotonic(), 0
        while sum(boot == BOOT for boot, _ in fleet.frames) < frames:
            most_bytes = max(most_bytes, bridge.memory_info().rss)
            await asyncio.sleep(PROGRESS_S)
        return time.monotonic() - began_s, most_bytes / MIB


@contextmanager
def _bridge(fleet: Fleet) -> Iterator[psutil.Process]:
    settings = fleet.settings()
    child = Child.start(
        Command(
            name="bridge",
            arguments=(sys.executable, "-m", "edge_bridge"),
            environment={
                "FLEETWARD_ROBOT_ID": ROBOT,
                "FLEETWARD_NATS_URL": settings.nats_url,
                "FLEETWARD_CREDENTIALS": str(settings.credentials),
                "FLEETWARD_STATE_DIR": str(settings.state_dir),
                "FLEETWARD_TRUST_DIR": str(settings.trust_dir),
            },
            directory=fleet.directory,
            log=fleet.directory / "bridge.log",
        )
    )
    bridge = psutil.Process(child.pid)
    try:
        yield bridge
    finally:
        bridge.kill()
        bridge.wait()
