"""Viewers that do not read, their process hung or killed, its port taken: the bridge does not wait for any of it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import psutil

from edge_bridge.foxglove.address import LOOPBACK, FoxgloveAddress
from edge_bridge.foxglove.view import FoxgloveLimits, FoxgloveView
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.contracts.ids import Digest, RobotId
from fleetward.local.ports import free_port
from tests.integration.edge_bridge.viewer import PATIENCE_S, viewer

ROBOT = RobotId("r1")
SHAPE = (480, 640, 3)
PICTURE = np.random.default_rng(1).integers(0, 256, SHAPE, np.uint8).tobytes()
"""Noise: a JPEG of more than 200 KiB."""
DEAF_FRAMES = 250
HELD_BYTES = 16 * 1024 * 1024
"""Room for the 32 JPEGs that may wait for a viewer, and not for as many as that."""


def result(frame: int) -> InferenceDone:
    return InferenceDone(
        frame=frame,
        digest=Digest("sha256:" + "0" * 64),
        captured_ns=time.time_ns(),
        latency_s=0.01,
        perception_s=0.01,
        confidence=None,
        error=None,
        outputs_summary={},
    )


@asynccontextmanager
async def viewed(port: int, frames_per_s: float = 1000.0) -> AsyncIterator[FoxgloveView]:
    view = FoxgloveView(
        FoxgloveAddress(LOOPBACK, port), ROBOT, FoxgloveLimits(frames_per_s=frames_per_s)
    )
    serving = asyncio.create_task(view.run())
    try:
        yield view
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        assert not servers()


def servers() -> list[psutil.Process]:
    """The live processes that serve viewers for this one."""
    return [child for child in psutil.Process().children() if _serves(child)]


def _serves(child: psutil.Process) -> bool:
    try:
        return "edge_bridge.foxglove" in child.cmdline()
    except psutil.NoSuchProcess:  # it ended since, or is a zombie
        return False


async def until(holds: Callable[[], bool]) -> None:
    """For what nobody announces: another process that looks, or does not."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 (another process has no event here)
            await asyncio.sleep(0.005)


def show(view: FoxgloveView, number: int) -> None:
    view.passed(number, PICTURE, SHAPE, "uint8")
    view.inferred(result(number))


async def test_nothing_is_made_while_nobody_watches_and_frames_come_no_faster_than_they_may() -> (
    None
):
    port = free_port()
    async with viewed(port, frames_per_s=5.0) as view, viewer(port) as one:
        assert not view.watches_frames
        await one.subscribe("/frames")
        await until(lambda: view.watches_frames)
        began_s = asyncio.get_running_loop().time()
        showing = asyncio.create_task(_show_for_ever(view))
        for _ in range(4):
            assert (await one.sees()).topic == "/frames"
        assert asyncio.get_running_loop().time() - began_s > 3 / 5.0 - 0.05
        showing.cancel()
        await one.unsubscribe("/frames")
        await until(lambda: not view.watches_frames)


async def _show_for_ever(view: FoxgloveView) -> None:
    number = 0
    while True:
        number += 1
        show(view, number)
        await asyncio.sleep(0.01)


async def test_a_viewer_that_does_not_read_costs_the_others_nothing_and_memory_a_bound() -> None:
    port = free_port()
    async with viewed(port) as view, viewer(port) as deaf, viewer(port) as one:
        await deaf.subscribe("/frames")
        await one.subscribe("/frames")
        await until(lambda: view.watches_frames)
        showing = asyncio.create_task(_show_for_ever(view))
        await one.sees()
        (server,) = servers()
        before_bytes = server.memory_info().rss
        for _ in range(DEAF_FRAMES):
            assert len((await one.sees()).content) > 200 * 1024
        assert server.memory_info().rss - before_bytes < HELD_BYTES
        showing.cancel()


async def test_a_hung_process_loses_what_it_does_not_take_and_the_bridge_waits_for_nothing() -> (
    None
):
    port = free_port()
    limits = FoxgloveLimits()
    async with viewed(port) as view, viewer(port) as one:
        await one.subscribe("/frames", "/results")
        await until(lambda: view.watches_frames)
        (server,) = servers()
        server.send_signal(signal.SIGSTOP)
        try:
            number = 0
            while view.dropped < 100:
                number += 1
                show(view, number)
            # Room for one frame and for what fits besides; 100 were lost at once, without a turn of the loop.
            assert view.unsent_bytes < limits.unsent_bytes + 2 * len(PICTURE)
        finally:
            server.send_signal(signal.SIGCONT)
        await until(lambda: view.unsent_bytes == 0)
        show(view, number + 1)
        while (await one.sees_of("/results")).json["frame"] != number + 1:
            pass


async def test_a_killed_process_is_started_again_and_viewers_come_back() -> None:
    port = free_port()
    async with viewed(port) as view:
        async with viewer(port) as one:
            await one.subscribe("/frames")
            await until(lambda: view.watches_frames)
            (server,) = servers()
            server.kill()
            await until(lambda: not view.watches_frames)
            show(view, 1)  # into the void, and no harm
        async with viewer(port) as again:
            assert servers() != [server]
            await again.subscribe("/frames")
            await until(lambda: view.watches_frames)
            show(view, 2)
            assert (await again.sees()).topic == "/frames"


async def test_a_taken_port_is_named_and_tried_again_until_it_is_free() -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"viewers cannot be served on {LOOPBACK}:{port}" in await what_it_says(port)
        async with viewed(port):
            await until(lambda: bool(servers()))
            await until(lambda: not servers())
            taken.close()
            async with viewer(port) as one:
                assert one.channels


async def what_it_says(port: int) -> str:
    """The process's own words, when it cannot serve."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        fd = theirs.fileno()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "edge_bridge.foxglove", str(fd), ROBOT, LOOPBACK, str(port)),
            pass_fds=(fd,),
            stderr=PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 1
    return said.decode()
