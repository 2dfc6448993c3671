"""Any process on the robot hands frames over and reads the model's answers: on a real worker."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edge_bridge.sources.frame_client import FrameClient
from edge_bridge.sources.frame_socket import (
    MAX_CLIENTS,
    SOCKET_MODE,
    SocketSource,
    SocketTakenError,
)
from edge_bridge.sources.frame_wire import LENGTH, Answer, WireError
from edge_bridge.workers.slots import Slots
from tests.integration.edge_slots.rig import PATIENCE_S, SETTINGS
from tests.integration.edge_slots.tiny_models import SIDE_PX, brightness

GREY = np.full((SIDE_PX, SIDE_PX, 3), 51, np.uint8).data
WHITE = np.full((SIDE_PX, SIDE_PX, 3), 255, np.uint8).data
GREY_IS, WHITE_IS = 0.2, 1.0


class Robot:
    """Slots that serve what arrives on ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.source = SocketSource(path, SETTINGS.frame_limit_bytes)
        self.slots = Slots(
            SETTINGS,
            self.source,
            on_result=self.source.answer,
            on_fallback=lambda _: None,
            on_green_lost=lambda _: None,
            on_shadowed=lambda _: None,
        )

    def client(self) -> FrameClient:
        return FrameClient(self.path, timeout_s=PATIENCE_S)


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Robot]:
    """A robot that listens, and serves nothing yet."""
    robot = Robot(path)
    pump = asyncio.create_task(robot.slots.run())
    await asyncio.wait_for(robot.source.is_listening.wait(), PATIENCE_S)
    try:
        yield robot
    finally:
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)
        await robot.slots.close()


@asynccontextmanager
async def serving(directory: Path) -> AsyncIterator[Robot]:
    """A robot whose model answers how bright a frame is."""
    async with listening(directory / "frames.sock") as robot:
        await robot.slots.stage(brightness(directory, "v1"))
        await robot.slots.swap()
        yield robot


def asked(client: FrameClient, frame: memoryview, tag: int) -> Answer:
    """One frame and its answer."""
    client.send(frame, tag)
    return client.answer()


async def said(client: FrameClient, frame: memoryview, tag: int = 1) -> Answer:
    return await asyncio.to_thread(asked, client, frame, tag)


def value(answer: Answer) -> float:
    content = answer.outputs["y"].content
    assert content is not None
    return float(np.frombuffer(content, np.float32)[0])


async def test_a_program_sends_a_frame_and_reads_what_the_model_says_of_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as robot:
        with robot.client() as camera:
            answer = await said(camera, GREY, tag=17)
        active = robot.slots.active
    assert active is not None
    assert (answer.tag, answer.digest, answer.error) == (17, active.digest, "")
    assert value(answer) == pytest.approx(GREY_IS)
    assert answer.latency_s > 0


async def test_each_program_reads_the_answers_to_its_own_frames(tmp_path: Path) -> None:
    async with serving(tmp_path) as robot:
        with robot.client() as one, robot.client() as other:
            for turn in range(5):
                assert value(await said(one, GREY, turn)) == pytest.approx(GREY_IS)
                assert value(await said(other, WHITE, turn)) == pytest.approx(WHITE_IS)


async def test_a_wish_in_any_language_is_a_length_and_msgpack(tmp_path: Path) -> None:
    header = msgspec.msgpack.encode({"shape": [SIDE_PX, SIDE_PX, 3], "tag": 3})
    wish = struct.pack("<I", len(header)) + header + WHITE.tobytes()
    async with serving(tmp_path) as robot:
        reader, writer = await asyncio.open_unix_connection(robot.path)
        for at in range(0, len(wish), 5):  # however it is cut into pieces
            writer.write(wish[at : at + 5])
            await writer.drain()
        (length,) = struct.unpack("<I", await reader.readexactly(4))
        answer = msgspec.msgpack.decode(await reader.readexactly(length))
        writer.close()
    assert answer["tag"] == 3
    assert np.frombuffer(answer["outputs"]["y"]["content"], np.float32)[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (LENGTH.pack(0), "a header of 0 bytes: it must have 1 to 4096"),
        (b"GET / HTTP/1.1\r\n\r\n", "a header of 542393671 bytes"),
        (LENGTH.pack(3) + b"abc", "this is no frame's header"),
        (LENGTH.pack(1) + b"\x80", "missing required field `shape`"),
        (
            LENGTH.pack(len(huge := msgspec.msgpack.encode({"shape": [1 << 40, 1 << 40]}))) + huge,
            "the limit is 192",
        ),
        (
            LENGTH.pack(len(empty := msgspec.msgpack.encode({"shape": [0, 4]}))) + empty,
            "holds nothing",
        ),
        (
            LENGTH.pack(len(typed := msgspec.msgpack.encode({"shape": [4], "dtype": "x"}))) + typed,
            "Invalid enum value 'x'",
        ),
    ],
)
async def test_nonsense_is_told_why_and_cut_off_and_nobody_else_notices(
    tmp_path: Path, sent: bytes, told: str
) -> None:
    async with serving(tmp_path) as robot:
        with robot.client() as bystander, robot.client() as stranger:
            await asyncio.to_thread(stranger._socket.sendall, sent)
            with pytest.raises(WireError, match=r"the bridge refused") as refused:
                await asyncio.to_thread(stranger.answer)
            with pytest.raises(EOFError):
                await asyncio.to_thread(stranger.answer)
            assert value(await said(bystander, GREY)) == pytest.approx(GREY_IS)
    assert told in str(refused.value)


async def test_who_leaves_in_the_middle_of_a_frame_leaves_nothing_behind(tmp_path: Path) -> None:
    header = msgspec.msgpack.encode({"shape": [SIDE_PX, SIDE_PX, 3]})
    async with serving(tmp_path) as robot:
        with closing(socket.socket(socket.AF_UNIX)) as leaver:
            leaver.connect(str(robot.path))
            leaver.sendall(LENGTH.pack(len(header)) + header + b"half")
        with robot.client() as camera:
            await said(camera, GREY)
        assert robot.slots.ledger.frames_captured == 1
        assert robot.slots.ledger.unaccounted() == 0


async def test_a_program_too_many_is_told_so(tmp_path: Path) -> None:
    async with listening(tmp_path / "frames.sock") as robot:
        clients = [robot.client() for _ in range(MAX_CLIENTS)]
        with robot.client() as late, pytest.raises(WireError, match="16 programs are connected"):
            await asyncio.to_thread(late.answer)
        for client in clients:
            client.close()


async def test_a_killed_bridge_s_socket_is_taken_over_and_a_living_one_s_is_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "frames.sock"
    with closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    async with listening(path) as robot:
        assert path.stat().st_mode & 0o777 == SOCKET_MODE
        with pytest.raises(SocketTakenError, match=r"another process serves .*frames\.sock"):
            await SocketSource(path, 1).run(lambda _: None)
        robot.client().close()
    assert not path.exists()


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(SocketTakenError, match="is no socket"):
        await SocketSource(path, 1).run(lambda _: None)
    assert path.read_text() == "mine"
