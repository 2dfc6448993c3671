"""A camera's node, a bridge with a real worker, and the results on their way back: three processes."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge_bridge.ros2.graph import NoRos2Error
from edge_bridge.ros2.source import NEEDED, Ros2Source, Ros2Topics
from edge_bridge.settings import settings_from
from edge_bridge.sources.choice import frames_of
from fleetward.bus.environment import SettingsError
from testkit.ros2 import remove_what_the_killed_left, sourced
from tests.integration.edge_ros2.bridge_process import SERVING
from tests.integration.edge_slots.tiny_models import SIDE_PX

PATIENCE_S = 60.0
FAREWELL_S = 8.0
"""Far less than the 20 s after which DDS gives up a node that said nothing."""
SILENCE_S = 0.2
EVERY_S = 0.02
TOPIC = "/front/image_raw"
ROBOT = {
    "FLEETWARD_STATE_DIR": "/tmp/state",
    "FLEETWARD_ROBOT_ID": "robot-1",
    "FLEETWARD_NATS_URL": "nats://127.0.0.1:4222",
    "FLEETWARD_CREDENTIALS": "/tmp/robot.creds",
    "FLEETWARD_TRUST_DIR": "/tmp/trust",
    "FLEETWARD_FRAME_HEIGHT_PX": str(SIDE_PX),
    "FLEETWARD_FRAME_WIDTH_PX": str(SIDE_PX),
}


@asynccontextmanager
async def process(
    variables: Mapping[str, str], module: str, *arguments: str
) -> AsyncIterator[Process]:
    """A module of these tests, until the context ends and it is told to; ROS 2 is sourced for it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.integration.edge_ros2.{module}",
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env=variables,
    )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.terminate()
        await asyncio.wait_for(child.communicate(b""), PATIENCE_S)
        remove_what_the_killed_left()


@asynccontextmanager
async def serving(directory: Path, topic: str = TOPIC) -> AsyncIterator[Process]:
    """A bridge whose model answers how bright an image of the topic is."""
    variables = sourced(directory) | ROBOT | {"FLEETWARD_ROS2_IMAGE_TOPIC": topic}
    async with process(variables, "bridge_process", str(directory), str(SILENCE_S)) as bridge:
        assert await line_of(bridge) == SERVING
        yield bridge


@asynccontextmanager
async def camera(
    directory: Path, topic: str = TOPIC, reliability: str = "BEST_EFFORT"
) -> AsyncIterator[Process]:
    """A camera's node that knows the bridge."""
    async with process(sourced(directory), "camera_node", topic, reliability) as node:
        await tell(node, {"bridges": 1})
        assert await line_of(node) == '{"bridges": 1}'
        yield node


async def line_of(child: Process) -> str:
    assert child.stdout is not None
    line = await asyncio.wait_for(child.stdout.readline(), PATIENCE_S)
    if not line:
        assert child.stderr is not None
        pytest.fail((await child.stderr.read()).decode())
    return line.decode().strip()


async def logged(bridge: Process, event: str) -> str:
    """The next line of its log with this event."""
    assert bridge.stderr is not None
    async with asyncio.timeout(PATIENCE_S):
        async for line in bridge.stderr:
            if event in line.decode():
                return line.decode()
    return pytest.fail(f"the bridge ended before {event}")


async def tell(node: Process, order: dict[str, Any]) -> None:
    assert node.stdin is not None
    node.stdin.write(json.dumps(order).encode() + b"\n")
    await node.stdin.drain()


async def show(node: Process, grey: int, encoding: str) -> None:
    """One picture; its stamp is made of its grey, so that a result tells what it should say."""
    stamp = [grey, 1_000 * grey]
    await tell(
        node,
        {
            "grey": grey,
            "encoding": encoding,
            "stamp": stamp,
            "frame_id": "front",
            "wait_s": EVERY_S,
        },
    )


@asynccontextmanager
async def showing(
    node: Process, first_grey: int = 10, encoding: str = "rgb8"
) -> AsyncIterator[None]:
    """Ever brighter pictures, one every 20 ms: best effort may lose some."""

    async def show_all() -> None:
        for grey in cycle(range(first_grey, 256)):
            await show(node, grey, encoding)
            await asyncio.sleep(EVERY_S)

    task = asyncio.create_task(show_all())
    try:
        yield
    finally:
        task.cancel()


async def results(node: Process, count: int, first_grey: int = 10) -> list[dict[str, Any]]:
    """So many results of pictures not darker than that: of none that was shown before."""
    said: list[dict[str, Any]] = []
    async with showing(node, first_grey):
        while len(said) < count:
            result = json.loads(await line_of(node))
            if result["header"]["stamp"]["sec"] >= first_grey:
                said.append(result)
    return said


def checked(said: list[dict[str, Any]]) -> list[int]:
    """The greys that were answered, each under the stamp of its own picture."""
    for each in said:
        stamp = each["header"]["stamp"]
        assert each["header"]["frame_id"] == "front"
        assert stamp["nanosec"] == 1_000 * stamp["sec"]
        assert each["error"] == ""
        assert each["outputs"]["y"]["values"] == pytest.approx([stamp["sec"] / 255], abs=1e-3)
    return [each["header"]["stamp"]["sec"] for each in said]


@pytest.mark.parametrize(
    ("topic", "reliability"),
    [(TOPIC, "BEST_EFFORT"), ("/front/image_raw/compressed", "RELIABLE")],
)
async def test_results_come_back_under_the_stamp_of_their_image(
    tmp_path: Path, topic: str, reliability: str
) -> None:
    async with serving(tmp_path, topic), camera(tmp_path, topic, reliability) as node:
        greys = checked(await results(node, 5))
    assert greys == sorted(set(greys))


async def test_a_camera_may_die_and_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as bridge:
        async with camera(tmp_path) as node:
            checked(await results(node, 2))
            node.kill()
        assert TOPIC in await logged(bridge, "ros2.silent")
        async with camera(tmp_path) as node:
            checked(await results(node, 2, first_grey=100))


async def test_a_picture_that_cannot_be_read_is_named_and_the_next_one_served(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as bridge, camera(tmp_path, reliability="RELIABLE") as node:
        async with showing(node, encoding="yuv422_yuy2"):
            refused = await logged(bridge, "ros2.image_refused")
        assert "encoding 'yuv422_yuy2' is none of bgr8" in refused
        checked(await results(node, 1))


async def test_a_bridge_that_stops_says_so_to_the_other_nodes(tmp_path: Path) -> None:
    async with serving(tmp_path) as bridge, camera(tmp_path) as node:
        bridge.terminate()
        assert await asyncio.wait_for(bridge.wait(), PATIENCE_S) == 0
        await tell(node, {"bridges": 0})
        async with asyncio.timeout(FAREWELL_S):
            assert await line_of(node) == '{"bridges": 0}'


async def test_a_node_that_crashes_is_started_again_and_the_bridge_serves_on(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as bridge, camera(tmp_path) as node:
        checked(await results(node, 1))
        of_bridge = psutil.Process(bridge.pid).children()
        (crashing,) = (each for each in of_bridge if "edge_bridge.ros2" in each.cmdline())
        crashing.kill()
        assert '"status": -9' in await logged(bridge, "ros2.lost")
        checked(await results(node, 1, first_grey=100))


@pytest.mark.parametrize("topic", ["/front camera", "/front/", "/1st", "front//left", ""])
def test_what_is_no_topic_is_refused_by_its_name(topic: str, tmp_path: Path) -> None:
    for name in NEEDED:
        (tmp_path / f"{name}.py").touch()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SettingsError, match="is no topic"):
        patch.syspath_prepend(tmp_path)
        Ros2Source(Ros2Topics(image_topic=topic), height_px=1, width_px=1)


def test_without_ros_2_it_is_said_what_to_source() -> None:
    settings = settings_from(ROBOT | {"FLEETWARD_ROS2_IMAGE_TOPIC": TOPIC})
    with pytest.raises(NoRos2Error, match=r"(?i)there is no rclpy, .* source .*setup\.bash"):
        frames_of(settings)
