"""The bridge as its own process: killed with -9, started without its hub, stopped by SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.fleet import ROBOT, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE_ID}-b7ad6b7169203331-01"
READY_WAIT_S = 60.0
COMPILED_AT_REST = frozenset(
    {"PIL", "_cffi_backend", "cryptography", "msgspec", "nacl", "pillow.libs", "psutil"}
)
"""Packages whose machine code a bridge at rest needs: for signatures, facts, and the test's pictures."""


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    (tmp_path / "frames").mkdir()
    Image.new("RGB", (16, 16), "gray").save(tmp_path / "frames" / "grey.png")
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


@asynccontextmanager
async def bridge_process(fleet: Fleet) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real bridge; killed with -9 at the end of the block if it still runs."""
    settings = fleet.settings()
    environment = {
        **os.environ,
        "FLEETWARD_ROBOT_ID": ROBOT,
        "FLEETWARD_NATS_URL": settings.nats_url,
        "FLEETWARD_CREDENTIALS": str(settings.credentials),
        "FLEETWARD_STATE_DIR": str(settings.state_dir),
        "FLEETWARD_TRUST_DIR": str(settings.trust_dir),
        "FLEETWARD_TRACES_DIR": str(fleet.directory / "traces"),
        "FLEETWARD_FRAMES_DIR": str(fleet.directory / "frames"),
        "FLEETWARD_FRAME_RATE_HZ": "50",
        "FLEETWARD_FRAME_HEIGHT_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_CHECK_IN_S": "0.5",
        "FLEETWARD_POLL_S": "0.5",
        "FLEETWARD_READY_OFFLINE_AFTER_S": "0.5",
        "NOTIFY_SOCKET": str(fleet.directory / "notify"),
        "WATCHDOG_USEC": "200000",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_bridge", env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def notifications(fleet: Fleet) -> AsyncIterator[socket.socket]:
    """The socket a supervisor would hear READY=1 on."""
    path = fleet.directory / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        heard.setblocking(False)
        yield heard


async def activated(fleet: Fleet, generation: int) -> ModelActivated:
    return await fleet.hears(ModelActivated, lambda fact: fact.generation == generation)


def model(fleet: Fleet) -> StagedModel:
    made = tiny_models.brightness(fleet.directory, "v1")
    fleet.publish_model(made)
    return made


async def test_a_killed_bridge_serves_its_model_again_without_hub_or_network(fleet: Fleet) -> None:
    first = model(fleet)
    async with bridge_process(fleet) as process:
        await fleet.aim(first, 1)
        await activated(fleet, 1)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    before = {fact.boot_id for fact in fleet.heard if isinstance(fact, RobotCheckedIn)}
    asked = len(fleet.objects.ranges)
    await fleet.system.kill()
    async with notifications(fleet) as heard, bridge_process(fleet):
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(READY_WAIT_S):
            while await loop.sock_recv(heard, 64) != b"READY=1":
                pass  # signs of life for the watchdog, which begin before
        for _ in range(2):
            alive = asyncio.get_running_loop().sock_recv(heard, 64)
            assert await asyncio.wait_for(alive, READY_WAIT_S) == b"WATCHDOG=1"
        await fleet.system.restart()
        back = await fleet.hears(
            RobotCheckedIn,
            lambda fact: fact.boot_id not in before and fact.active_digest == first.digest,
        )
        assert back.generation == 1
        served = await fleet.hears(
            RobotCheckedIn, lambda fact: fact.boot_id not in before and fact.frames_served > 10
        )
        assert served.bytes_fetched == 0
        assert len(fleet.objects.ranges) == asked
        assert fleet.count(ModelActivated) == 1, "what was reported is not reported twice"


async def test_telemetry_of_a_killed_bridge_goes_out_before_that_of_the_next(fleet: Fleet) -> None:
    await fleet.system.kill()
    async with notifications(fleet) as heard, bridge_process(fleet) as process:
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(heard, 64), READY_WAIT_S)
        spool_path = fleet.settings().state_dir / "spool.db"
        while _spooled(spool_path) < 2:  # noqa: ASYNC110 (another process spools)
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    left = _spooled(spool_path)
    await fleet.system.restart()
    async with bridge_process(fleet):
        await fleet.stored(lambda frames: len({boot for boot, _ in frames}) >= 2)
    boots = [boot for boot, _ in fleet.frames]
    assert len(set(boots[:left])) == 1
    assert boots[0] != boots[-1]
    assert [number for _, number in fleet.frames][:left] == list(range(1, left + 1))


async def test_sigterm_stops_the_bridge_within_two_seconds(fleet: Fleet) -> None:
    async with bridge_process(fleet) as process:
        await fleet.aim(model(fleet), 1)
        await activated(fleet, 1)
        started_s = time.monotonic()
        process.terminate()
        assert await process.wait() == 0
        assert time.monotonic() - started_s < 2.0


async def test_one_trace_runs_from_the_target_to_the_first_frame(fleet: Fleet) -> None:
    async with bridge_process(fleet) as process:
        await fleet.aim(model(fleet), 1, traceparent=TRACEPARENT)
        await activated(fleet, 1)
        process.terminate()
        await process.wait()
    (file,) = (fleet.directory / "traces").glob("*.jsonl")
    spans = [json.loads(line) for line in file.read_text().splitlines()]
    of_trace = {span["name"]: span for span in spans if span["trace_id"] == TRACE_ID}
    assert set(of_trace) >= {
        "bridge.converge",
        "bridge.fetch",
        "bridge.stage",
        "bridge.swap",
        "bridge.first_frame",
    }
    assert of_trace["bridge.converge"]["parent_id"] == "b7ad6b7169203331"
    assert all(span["attributes"]["robot_id"] == ROBOT for span in of_trace.values())
    parent = of_trace["bridge.converge"]["span_id"]
    assert of_trace["bridge.fetch"]["parent_id"] == parent
    assert TRACE_ID in fleet.traceparents[ModelActivated], "the report belongs to it as well"


async def test_a_bridge_without_its_settings_says_which_one(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_bridge", env={}, stderr=asyncio.subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"FLEETWARD_STATE_DIR is not set" in errors


async def test_a_bridge_at_rest_holds_no_library_of_what_it_does_not_do(fleet: Fleet) -> None:
    async with bridge_process(fleet) as process:
        await fleet.stored(lambda frames: len(frames) > 0)
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
    held = {line.partition("/site-packages/")[2] for line in mapped.splitlines()} - {""}
    assert {path.partition("/")[0].partition(".cpython")[0] for path in held} <= COMPILED_AT_REST


def _spooled(path: Path) -> int:
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        (count,) = database.execute("SELECT count(*) FROM frames").fetchone()
    return int(count)
