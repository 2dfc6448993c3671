"""What a real bridge records all the time, on real servers: stored, killed in the middle, listed, read back."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from msgspec.structs import replace

from edge_bridge.recorder.file import messages_in
from edge_bridge.recorder.limits import ContinuousLimits
from edge_bridge.recorder.messages import raw_image
from edge_bridge.shipping.limits import ShippingLimits
from fleetward.client import Fleet, segments
from fleetward.client.access import Access
from fleetward.contracts.segments import Segment, SegmentKind, lost_before
from testkit import command_line
from testkit.servers import NatsSystem
from tests.integration.model_registry.command_line import environment_of
from tests.integration.model_registry.recording_robots import WAIT_S, BridgeProcess, Recording

MIB = 1024 * 1024
SHAPE = (1080, 1920, 3)
LIMITS = ContinuousLimits(
    topics=("/camera", "/plan"),
    segment_s=0.3,
    flush_every_s=0.05,
    shipping=ShippingLimits(retry_wait_s=0.05, retry_wait_limit_s=0.2),
)


@pytest.fixture
def robot(
    fleet: Fleet, shared_nats_system: NatsSystem, tmp_path: Path, registry_directory: Path
) -> Recording:
    assert fleet is not None
    made = Recording(shared_nats_system, tmp_path, registry_directory)
    made.settings = replace(made.settings, continuous=LIMITS)
    return made


async def stored(fleet: Fleet, robot: Recording) -> list[Segment]:
    found = await segments.stored(fleet.connection, robot.id, SegmentKind.RECORDING)
    return [each.segment for each in found]


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async def waiting() -> None:
        while True:
            if await holds():
                return
            await asyncio.sleep(0.05)

    await asyncio.wait_for(waiting(), WAIT_S)


def lost_in(found: list[Segment]) -> int:
    return sum(
        lost_before(each, previous)
        for each, previous in zip(found, [None, *found[:-1]], strict=True)
    )


async def test_each_message_is_stored_once_and_a_raw_picture_is_a_picture(
    fleet: Fleet, robot: Recording, operator_access: Access, tmp_path: Path
) -> None:
    pixels = random.Random(3).randbytes(SHAPE[0] * SHAPE[1] * SHAPE[2])
    async with robot.bridge() as bridge:
        assert not bridge.black_box.log("/other", {"step": 1}) or robot.settings.recorder.enabled
        for number in range(200):
            assert bridge.black_box.log("/plan", {"step": number})
            if number % 20 == 0:
                picture = raw_image(pixels, SHAPE, "uint8", number + 1)
                assert bridge.black_box.log(
                    "/camera",
                    picture.content,
                    at_ns=picture.at_ns,
                    encoding=picture.encoding,
                    schema_name=picture.schema_name,
                    schema_encoding=picture.schema_encoding,
                    schema=picture.schema,
                )
            await asyncio.sleep(0.005)
        await until(lambda: _count(fleet, robot, 210))
    found = await stored(fleet, robot)
    assert (len(found) >= 2, lost_in(found)) == (True, 0)

    steps, pictures = [], 0
    for each in found:
        path = tmp_path / f"{each.segment_id}.mcap"
        words = ("robot", "recordings", robot.id, "--get", each.segment_id, "-o", str(path))
        fetched = await command_line.run(environment_of(operator_access), *words)
        assert fetched.code == 0, fetched.complaint
        with path.open("rb") as file:
            reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
            for _, channel, message in reader.iter_messages():
                if channel.topic == "/plan":
                    steps.append(json.loads(message.data)["step"])
            for _, _, _, image in reader.iter_decoded_messages(topics="/camera"):
                assert (image.height, image.width, image.encoding) == (1080, 1920, "rgb8")
                assert bytes(image.data) == pixels
                pictures += 1
    assert (sorted(steps), pictures) == (list(range(200)), 10)


async def _count(fleet: Fleet, robot: Recording, messages: int) -> bool:
    return sum(each.messages for each in await stored(fleet, robot)) >= messages


async def test_kill_9_in_the_middle_loses_nothing_uncounted(
    fleet: Fleet, robot: Recording, operator_access: Access, tmp_path: Path
) -> None:
    process = BridgeProcess(
        robot,
        tmp_path / "process",
        bytes_per_s=10**8,
        FLEETWARD_RECORDER="off",
        FLEETWARD_CONTINUOUS_TOPICS="/frames,/facts",
        FLEETWARD_CONTINUOUS_SEGMENT_S="0.4",
        FLEETWARD_FRAME_RATE_HZ="100",
    )
    for kills in range(1, 3):
        await process.start()
        await until(lambda: _stored_at_least(fleet, robot, 2 * kills))  # noqa: B023 (awaited at once)
        await process.kill()
    await process.start()
    before = len(await stored(fleet, robot))
    await until(lambda: _stored_at_least(fleet, robot, before + 2))
    await process.stop()

    found = await stored(fleet, robot)
    assert sum(each.cut_off for each in found) <= 2
    assert await _frames_in(fleet, robot, found, tmp_path / "got.mcap") > 100
    numbers = int.from_bytes(
        (robot.settings.state_dir / "continuous" / "numbers").read_bytes()[:8], "little"
    )
    whole = sum(each.messages for each in found)
    listed = await command_line.run(
        environment_of(operator_access), "robot", "recordings", robot.id, "--continuous", "--json"
    )
    told = json.loads(listed.output)
    assert sum(each["lost"] for each in told) == lost_in(found) <= 2 * 200
    assert whole + lost_in(found) == found[-1].end_number <= numbers


async def _frames_in(fleet: Fleet, robot: Recording, found: list[Segment], path: Path) -> int:
    frames = 0
    for each in found:
        whole = await segments.fetch(fleet.connection, robot.id, each.segment_id, path)
        assert replace(whole, topics={}, clock_offset_s=None) == each
        contents = list(messages_in(path))
        assert len(contents) == each.messages
        frames += sum(message.topic == "/frames" for message in contents)
    return frames


async def _stored_at_least(fleet: Fleet, robot: Recording, count: int) -> bool:
    return len(await stored(fleet, robot)) >= count


async def test_outbox_that_is_full_gives_up_the_oldest_and_the_list_says_how_many(
    fleet: Fleet, robot: Recording, operator_access: Access
) -> None:
    small = replace(LIMITS.shipping, outbox_bytes=8 * MIB, bytes_per_s=1.0)
    limits = replace(LIMITS, segment_bytes=2 * MIB, shipping=small)
    robot.settings = replace(robot.settings, continuous=limits)
    async with robot.bridge() as bridge:
        tape = bridge.black_box.tape
        for number in range(40):
            assert bridge.black_box.log("/camera", random.Random(number).randbytes(MIB))
            await asyncio.sleep(0.01)

        async def overflowed() -> bool:
            return tape.losses.files > 5

        await until(overflowed)
        assert tape.held_bytes <= small.outbox_bytes
    given_up = tape.losses.messages

    robot.settings = replace(robot.settings, continuous=LIMITS)
    async with robot.bridge() as bridge:
        assert bridge.black_box.tape.losses.messages >= given_up
        given_up = bridge.black_box.tape.losses.messages
        bridge.black_box.log("/plan", {"after": "it"})
        await until(lambda: _ends_at(fleet, robot, 41))
    words = ("robot", "recordings", robot.id, "--continuous")
    listed = await command_line.run(environment_of(operator_access), *words, "--json")
    found = await stored(fleet, robot)
    assert (
        sum(each["lost"] for each in json.loads(listed.output)) + found[0].first_number == given_up
    )
    assert sum(each.messages for each in found) == 41 - given_up
    shown = await command_line.run(environment_of(operator_access), *words, "--last", "1")
    assert (shown.code, found[-1].segment_id in shown.output) == (0, True)
    assert found[-2].segment_id not in shown.output


async def _ends_at(fleet: Fleet, robot: Recording, number: int) -> bool:
    found = await stored(fleet, robot)
    return bool(found) and found[-1].end_number == number
