"""Frames of a camera, by Video4Linux, or of a video file played back at its own pace.

Needs the extra ``edge-bridge[video]``: PyAV, which brings FFmpeg's decoders and its V4L2 input.
"""

from __future__ import annotations

import stat
from collections.abc import Generator
from functools import partial
from pathlib import Path

from edge_bridge.errors import BridgeError
from edge_bridge.frames import Frame
from edge_bridge.sources.played import PlayedSource, SourceLostError, Timed

OPEN_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 5.0
"""A camera that gives no frame for so long is lost, and opened again."""


class NoVideoError(BridgeError):
    """Video was asked for where it cannot be read: what is missing, and what installs it."""


def video_source(
    location: Path, *, height_px: int, width_px: int, rate_hz: float | None = None
) -> PlayedSource:
    """A source of RGB frames of that size; rate_hz: asked of a camera, which may not obey.

    Raises NoVideoError without PyAV. A camera that is missing now may come: that is logged and retried.
    """
    try:
        import av  # the extra "video"
    except ImportError as error:
        raise NoVideoError(
            f"frames from {location} need PyAV: pip install 'edge-bridge[video]'"
        ) from error
    del av
    frames = partial(_frames, location, height_px, width_px, rate_hz)
    return PlayedSource(str(location), frames)


def _frames(
    location: Path, height_px: int, width_px: int, rate_hz: float | None
) -> Generator[Timed, None, None]:
    import av

    is_camera = _is_camera(location)
    shown = 0
    options = {"framerate": f"{rate_hz:g}"} if is_camera and rate_hz else {}
    try:
        with av.open(
            str(location),
            format="v4l2" if is_camera else None,
            options=options,
            timeout=(OPEN_TIMEOUT_S, READ_TIMEOUT_S),
        ) as container:
            if not container.streams.video:
                raise SourceLostError(f"{location} holds no video")
            for picture in container.decode(video=0):
                rgb = picture.reformat(width=width_px, height=height_px, format="rgb24")
                frame = Frame(rgb.to_ndarray().tobytes(), (height_px, width_px, 3))
                yield Timed(frame, None if is_camera else picture.time)
                shown += 1
    except (av.FFmpegError, OSError) as error:
        raise SourceLostError(f"{location} cannot be read: {error}") from error
    if not shown:
        raise SourceLostError(f"{location} holds no frame")


def _is_camera(location: Path) -> bool:
    try:
        return stat.S_ISCHR(location.stat().st_mode)
    except OSError as error:
        raise SourceLostError(f"{location} is not there: {error.strerror}") from error
