"""What a viewer sees of a robot live, by Foxglove's own protocol; and that the robot does not feel it."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from edge_bridge.bridge import Bridge
from edge_bridge.foxglove.address import LOOPBACK, FoxgloveAddress
from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.robots import ModelActivated
from fleetward.local.ports import free_port
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import Fleet, running_fleet
from tests.integration.edge_bridge.viewer import PATIENCE_S, Seen, Viewer, protobuf_fields, viewer
from tests.integration.edge_slots import tiny_models

GREY = 200
LOG_MESSAGE = 3
IMAGE_STAMP, IMAGE_DATA = 1, 2


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


async def test_a_frame_its_result_under_the_same_stamp_signals_and_a_swap_are_seen_live(
    fleet: Fleet,
) -> None:
    first = tiny_models.brightness(fleet.directory, "v1")
    second = tiny_models.brightness(fleet.directory, "v2", gain=0.5)
    fleet.publish_model(first)
    fleet.publish_model(second)
    port = free_port()
    camera = Camera()
    camera.brightness = GREY
    async with Bridge(fleet.settings(foxglove=FoxgloveAddress(LOOPBACK, port)), source=camera):
        await fleet.aim(first, 1)
        await fleet.hears(ModelActivated)
        async with viewer(port) as one:
            assert {topic: each["schemaName"] for topic, each in one.channels.items()} == {
                "/frames": "foxglove.CompressedImage",
                "/results": "fleetward.Result",
                "/signals": "fleetward.Signals",
                "/log": "foxglove.Log",
            }
            await sees_a_frame_with_its_result(one, first)
            await one.subscribe("/log", "/signals")
            await fleet.aim(second, 2)
            swap = await one.sees_of("/log")
            line = swap.fields[LOG_MESSAGE]
            assert isinstance(line, bytes)
            assert line.startswith(b"ModelActivated {")
            assert second.digest.encode() in line
            signals = (await one.sees_of("/signals")).json
            assert any(name.startswith("model_inference_duration") for name in signals)


async def sees_a_frame_with_its_result(one: Viewer, served: StagedModel) -> None:
    await one.subscribe("/frames", "/results")
    frame, result = await pair(one)
    assert picture(frame).getpixel((0, 0)) == pytest.approx((GREY,) * 3, abs=2)
    assert stamp_ns(frame) == frame.at_ns == result.at_ns
    said = result.json
    assert said["timestamp"] == {
        "sec": result.at_ns // 10**9,
        "nsec": result.at_ns % 10**9,
    }
    assert said["frame"] > 0
    assert said["digest"] == served.digest
    assert said["outputs"]["y"]["values"] == pytest.approx([GREY / 255], abs=0.01)


async def pair(one: Viewer) -> tuple[Seen, Seen]:
    """A frame and the result that bears its stamp."""
    frames: dict[int, Seen] = {}
    async with asyncio.timeout(PATIENCE_S):
        while True:
            seen = await one.sees()
            if seen.topic == "/frames":
                frames[seen.at_ns] = seen
            elif seen.at_ns in frames:
                return frames[seen.at_ns], seen


def picture(frame: Seen) -> Image.Image:
    data = frame.fields[IMAGE_DATA]
    assert isinstance(data, bytes)
    return Image.open(io.BytesIO(data))


def stamp_ns(frame: Seen) -> int:
    stamp = frame.fields[IMAGE_STAMP]
    assert isinstance(stamp, bytes)
    (_, seconds), (_, nanoseconds) = protobuf_fields(stamp)
    assert isinstance(seconds, int)
    assert isinstance(nanoseconds, int)
    return seconds * 10**9 + nanoseconds
