"""Where frames come from. A source calls its sink for each frame, at the frame's own pace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Protocol

from edge_bridge.errors import BridgeError
from edge_bridge.frames import Frame, FrameSink

IMAGE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".webp"})
IMAGES_LIMIT = 256
"""Images held in memory at once; a directory with more is refused, not cut short in silence."""


class NoFramesError(BridgeError):
    """A directory that should hold images holds none, too many, or what is no image."""


class Source(Protocol):
    """Anything that yields frames over time."""

    async def run(self, sink: FrameSink) -> None:
        """Give every frame to ``sink`` at the instant it is captured, until cancelled or done."""
        ...


class DirectorySource:
    """A camera played back: a directory's images, over and over, at a steady rate."""

    def __init__(self, directory: Path, *, rate_hz: float, height_px: int, width_px: int) -> None:
        """Read and resize every image once; raises NoFramesError."""
        self._period_s = 1 / rate_hz
        self._frames = [_image(path, height_px, width_px) for path in _image_paths(directory)]

    async def run(self, sink: FrameSink) -> None:
        """Frames are due at fixed instants; those that a stall made late are never captured."""
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        broken: asyncio.Future[None] = loop.create_future()
        timer: asyncio.Handle

        def due(tick: int) -> None:
            nonlocal timer
            try:
                sink(self._frames[tick % len(self._frames)])
            except Exception as problem:  # noqa: BLE001 (whatever it is, it ends ``run``)
                if not broken.done():
                    broken.set_exception(problem)
                return
            tick = max(tick + 1, int((loop.time() - started_s) / self._period_s))
            timer = loop.call_at(started_s + tick * self._period_s, due, tick)

        timer = loop.call_soon(due, 0)  # a timer wakes no task: each frame costs half as much
        try:
            await broken
        finally:
            timer.cancel()


class PushSource:
    """Frames from the robot's own program, one ``push`` each."""

    def __init__(self) -> None:
        self._sink: FrameSink | None = None

    def push(self, frame: Frame) -> bool:
        """Hand over a frame that was captured now; False when nobody listens yet or any more.

        Call it on the event loop's thread; from another thread, by ``call_soon_threadsafe``.
        """
        if self._sink is None:
            return False
        self._sink(frame)
        return True

    async def run(self, sink: FrameSink) -> None:
        self._sink = sink
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._sink = None


class StreamSource:
    """Frames from an asynchronous iterator, at its pace; ends when it ends."""

    def __init__(self, frames: AsyncIterable[Frame]) -> None:
        self._frames = frames

    async def run(self, sink: FrameSink) -> None:
        async for frame in self._frames:
            sink(frame)


def _image_paths(directory: Path) -> list[Path]:
    paths = sorted(path for path in directory.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not 0 < len(paths) <= IMAGES_LIMIT:
        raise NoFramesError(
            f"{directory} holds {len(paths)} images, it must hold 1 to {IMAGES_LIMIT} of "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}. Point the bridge at another directory."
        )
    return paths


def _image(path: Path, height_px: int, width_px: int) -> Frame:
    from PIL import Image, UnidentifiedImageError  # other sources need no Pillow

    try:
        with Image.open(path) as image:
            picture = image.convert("RGB").resize((width_px, height_px), Image.Resampling.BILINEAR)
    except (OSError, UnidentifiedImageError) as error:
        raise NoFramesError(f"{path} is not a readable image: {error}. Remove it.") from error
    return Frame(picture.tobytes(), (height_px, width_px, 3))
