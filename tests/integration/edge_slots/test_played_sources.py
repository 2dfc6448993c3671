"""Video files and recordings of robots, made by the real libraries, are played back frame by frame."""

from __future__ import annotations

import asyncio
from pathlib import Path

import av
import numpy as np
import pytest
from mcap.writer import CompressionType
from mcap_ros2.writer import Writer

from edge_bridge.errors import FrameRefusedError
from edge_bridge.frames import Frame
from edge_bridge.settings import settings_from
from edge_bridge.sources import played
from edge_bridge.sources.choice import frames_of
from edge_bridge.sources.mcap_source import mcap_source
from edge_bridge.sources.played import PlayedSource
from edge_bridge.sources.video import video_source
from fleetward.bus.environment import SettingsError

SIDE_PX = 64
RATE_HZ = 50
GREYS = (40, 120, 200)
TOLERANCE = 6  # of 255: what the video's compression changes
PATIENCE_S = 30.0
HEADER = "std_msgs/Header header\n"
STAMPS = """
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
IMAGE = (
    HEADER
    + "uint32 height\nuint32 width\nstring encoding\nuint8 is_bigendian\nuint32 step\nuint8[] data"
    + STAMPS
)
SECOND_NS = 10**9


async def first_frames(source: PlayedSource, count: int) -> list[Frame]:
    """So many frames, as they come."""
    frames: list[Frame] = []
    enough = asyncio.Event()

    def sink(frame: Frame) -> None:
        frames.append(frame)
        if len(frames) >= count:
            enough.set()

    playing = asyncio.create_task(source.run(sink))
    try:
        await asyncio.wait_for(enough.wait(), PATIENCE_S)
    finally:
        playing.cancel()
    return frames[:count]


async def said(words: str, caplog: pytest.LogCaptureFixture) -> None:
    """Until the source's thread has logged them."""

    async def look() -> None:
        while words not in caplog.text:  # noqa: ASYNC110 (a log in another thread has no event)
            await asyncio.sleep(0.005)

    await asyncio.wait_for(look(), PATIENCE_S)


def greys(frames: list[Frame]) -> list[int]:
    return [int(np.frombuffer(bytes(frame.content), np.uint8).mean()) for frame in frames]


def video(path: Path) -> Path:
    """Three grey frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=RATE_HZ)
        stream.width = stream.height = SIDE_PX
        stream.pix_fmt = "yuv420p"
        for grey in GREYS:
            pixels = np.full((SIDE_PX, SIDE_PX, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def recording(path: Path, encoding: str = "bgr8", every_ns: int = SECOND_NS // RATE_HZ) -> Path:
    """Three images on /camera, pure blue in ever more of it, between images of another topic."""
    with path.open("wb") as stream:
        writer = Writer(stream, chunk_size=1, compression=CompressionType.NONE)
        schema = writer.register_msgdef("sensor_msgs/msg/Image", IMAGE)
        for turn, blue in enumerate(GREYS):
            pixels = np.zeros((2, 4, 3), np.uint8)
            pixels[..., 0] = blue
            image = {
                "header": {"stamp": {"sec": 0, "nanosec": 0}, "frame_id": ""},
                "height": 2,
                "width": 4,
                "encoding": encoding,
                "is_bigendian": 0,
                "step": 12,
                "data": pixels.tobytes(),
            }
            for topic in ("/camera", "/other"):
                writer.write_message(topic, schema, image, log_time=turn * every_ns)
        writer.finish()  # type: ignore[no-untyped-call]  # of a library without types
    return path


def blues(frames: list[Frame]) -> list[int]:
    pixels = [np.frombuffer(bytes(frame.content), np.uint8).reshape(-1, 3) for frame in frames]
    assert all(not each[:, :2].any() for each in pixels), "red and green are empty"
    return [int(each[:, 2].mean()) for each in pixels]


async def test_a_video_is_played_over_and_over_in_the_size_that_was_asked_for(
    tmp_path: Path,
) -> None:
    source = video_source(video(tmp_path / "film.mp4"), height_px=8, width_px=16)
    frames = await first_frames(source, 6)
    assert {frame.shape for frame in frames} == {(8, 16, 3)}
    assert greys(frames) == pytest.approx([*GREYS, *GREYS], abs=TOLERANCE)


async def test_a_recording_is_played_over_and_over_with_its_colours(tmp_path: Path) -> None:
    source = mcap_source(recording(tmp_path / "drive.mcap"), height_px=4, width_px=8)
    frames = await first_frames(source, 6)
    assert {frame.shape for frame in frames} == {(4, 8, 3)}
    assert blues(frames) == [*GREYS, *GREYS]


async def test_a_recording_that_was_cut_off_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = recording(tmp_path / "whole.mcap").read_bytes()
    cut = tmp_path / "cut.mcap"
    second = whole.index(bytes([GREYS[1], 0, 0] * 4))
    cut.write_bytes(whole[: second + 5])
    source = mcap_source(cut, height_px=2, width_px=4, topic="/camera")
    assert blues(await first_frames(source, 3)) == [GREYS[0]] * 3


@pytest.mark.parametrize("is_there", [False, True])
async def test_a_source_that_is_lost_says_why_and_is_played_once_it_is_there(
    tmp_path: Path,
    is_there: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(played, "RETRY_WAIT_S", 0.01)
    path = tmp_path / "camera.mp4"
    if is_there:
        path.write_bytes(b"no film")
    waiting = asyncio.create_task(first_frames(video_source(path, height_px=8, width_px=8), 1))
    await said("source.lost", caplog)
    assert ("cannot be read" if is_there else "is not there: No such file") in caplog.text
    video(tmp_path / "whole.mp4").replace(path)
    assert greys(await waiting) == pytest.approx(GREYS[:1], abs=TOLERANCE)


@pytest.mark.parametrize(
    ("encoding", "topic", "told"),
    [
        ("yuv422", None, "encoding 'yuv422' is none of bgr8"),
        ("bgr8", "/lidar", "holds no images on /lidar"),
    ],
)
async def test_a_recording_without_pictures_says_so(
    tmp_path: Path, encoding: str, topic: str | None, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = recording(tmp_path / "drive.mcap", encoding)
    source = mcap_source(path, height_px=2, width_px=4, topic=topic)
    playing = asyncio.create_task(source.run(lambda _: None))
    await said(told, caplog)
    playing.cancel()


async def test_a_frame_that_nobody_can_serve_ends_the_source_with_the_reason(
    tmp_path: Path,
) -> None:
    def sink(frame: Frame) -> None:
        raise FrameRefusedError(f"{frame.size_bytes} bytes are too many")

    source = video_source(video(tmp_path / "film.mp4"), height_px=8, width_px=8)
    with pytest.raises(FrameRefusedError, match="192 bytes are too many"):
        await asyncio.wait_for(source.run(sink), PATIENCE_S)


def test_two_sources_are_one_too_many() -> None:
    environment = {
        "FLEETWARD_STATE_DIR": "/tmp/state",
        "FLEETWARD_ROBOT_ID": "robot-1",
        "FLEETWARD_NATS_URL": "nats://127.0.0.1:4222",
        "FLEETWARD_CREDENTIALS": "/tmp/robot.creds",
        "FLEETWARD_TRUST_DIR": "/tmp/trust",
        "FLEETWARD_VIDEO": "/dev/video0",
        "FLEETWARD_RECORDING": "/data/drive.mcap",
    }
    with pytest.raises(SettingsError, match="FLEETWARD_VIDEO and FLEETWARD_RECORDING are set"):
        frames_of(settings_from(environment))
