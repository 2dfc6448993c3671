"""Frames come at the pace their source sets, already of the size that was asked for."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from edge_bridge.errors import FrameRefusedError
from edge_bridge.frames import Frame
from edge_bridge.sources.source import DirectorySource, NoFramesError, PushSource, StreamSource


def _pictures(directory: Path, count: int) -> None:
    for number in range(count):
        Image.new("RGB", (7, 5), (number, 0, 0)).save(directory / f"{number:03}.png")


async def _first(source: DirectorySource, count: int) -> list[tuple[float, Frame]]:
    """The first frames with the loop's time at which each came."""
    seen: list[tuple[float, Frame]] = []
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()

    def sink(frame: Frame) -> None:
        seen.append((loop.time(), frame))
        if len(seen) >= count:
            enough.set()

    running = asyncio.create_task(source.run(sink))
    await asyncio.wait_for(enough.wait(), 10)
    running.cancel()
    return seen[:count]


class PromptSelector(selectors.DefaultSelector):
    """Whoever sleeps is woken at once, at the instant that it slept for: no machine is too busy."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += timeout or 0.0
        return super().select(0 if timeout is not None else None)


class PromptLoop(asyncio.SelectorEventLoop):
    """An event loop on the clock of a PromptSelector."""

    def __init__(self) -> None:
        self._clock = PromptSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s


def test_directory_is_played_in_order_over_and_over_at_its_rate(tmp_path: Path) -> None:
    _pictures(tmp_path, 3)
    source = DirectorySource(tmp_path, rate_hz=100, height_px=10, width_px=14)
    with asyncio.Runner(loop_factory=PromptLoop) as runner:
        seen = runner.run(_first(source, 7))

    assert [bytes(memoryview(frame.content)[:1])[0] for _, frame in seen] == [0, 1, 2, 0, 1, 2, 0]
    assert {frame.shape for _, frame in seen} == {(10, 14, 3)}
    assert [at for at, _ in seen] == pytest.approx([tick / 100 for tick in range(7)], abs=1e-6)


async def test_what_the_sink_raises_ends_the_source(tmp_path: Path) -> None:
    _pictures(tmp_path, 1)
    seen: list[Frame] = []

    def sink(frame: Frame) -> None:
        seen.append(frame)
        if len(seen) == 2:
            raise FrameRefusedError("too large")

    source = DirectorySource(tmp_path, rate_hz=1000, height_px=1, width_px=1)
    with pytest.raises(FrameRefusedError):
        await asyncio.wait_for(source.run(sink), 10)
    await asyncio.sleep(0.01)
    assert len(seen) == 2, "it went on"


async def test_stall_does_not_cause_a_burst_of_late_frames(tmp_path: Path) -> None:
    _pictures(tmp_path, 1)
    source = DirectorySource(tmp_path, rate_hz=100, height_px=1, width_px=1)
    loop = asyncio.get_running_loop()
    times: list[float] = []
    enough = asyncio.Event()

    def sink(_: Frame) -> None:
        times.append(loop.time())
        if len(times) == 1:
            until = loop.time() + 0.2  # twenty frames are due meanwhile
            while loop.time() < until:
                pass
        if len(times) == 6:
            enough.set()

    running = asyncio.create_task(source.run(sink))
    await asyncio.wait_for(enough.wait(), 10)
    running.cancel()
    assert times[5] - times[1] >= 4 / 100 - 0.012


@pytest.mark.parametrize("count", [0, 257])
def test_directory_without_images_or_with_too_many_is_refused(tmp_path: Path, count: int) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    for number in range(count):
        (tmp_path / f"{number}.png").touch()
    with pytest.raises(NoFramesError, match=f"holds {count} images"):
        DirectorySource(tmp_path, rate_hz=1, height_px=1, width_px=1)


def test_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8 torn")
    with pytest.raises(NoFramesError, match=r"torn\.jpg"):
        DirectorySource(tmp_path, rate_hz=1, height_px=1, width_px=1)


async def test_pushed_frame_says_whether_anybody_listened() -> None:
    source, frame = PushSource(), Frame(bytes(3), (1, 1, 3))
    seen: list[Frame] = []
    assert not source.push(frame)
    running = asyncio.create_task(source.run(seen.append))
    await asyncio.sleep(0)
    assert source.push(frame)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not source.push(frame)
    assert seen == [frame]


async def test_stream_ends_when_its_iterator_ends() -> None:
    async def frames() -> AsyncIterator[Frame]:
        for number in range(3):
            yield Frame(bytes([number] * 3), (1, 1, 3))

    seen: list[Frame] = []
    await StreamSource(frames()).run(seen.append)
    assert [frame.content for frame in seen] == [bytes([number] * 3) for number in range(3)]
