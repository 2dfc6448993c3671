"""Which source a bridge of its own reads, by its settings; a program that embeds one brings its own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from msgspec import Struct

from edge_bridge.ros2.source import Ros2Source
from edge_bridge.settings import Settings
from edge_bridge.sources.frame_socket import SocketSource
from edge_bridge.sources.mcap_source import mcap_source
from edge_bridge.sources.source import DirectorySource, PushSource, Source
from edge_bridge.sources.video import video_source
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.environment import SettingsError
from fleetward.bus.logs import log
from fleetward.contracts.ids import ModelName

_logger = logging.getLogger(__name__)


class Frames(Struct, frozen=True):
    """Where frames come from, and who hears what the model said of them."""

    source: Source
    on_result: Callable[[InferenceDone], None] | None = None
    sources: dict[ModelName, Source] = {}
    """Of the pipelines that see other frames."""


def frames_of(settings: Settings) -> Frames:
    """The one source that the settings name, and one for each pipeline of which they name another.

    A robot without a camera yet still fetches and reports. Raises SettingsError when several are named
    for one pipeline.
    """
    own = _of_one(settings)
    if own is None:
        log(_logger, "bridge.without_frames", level=logging.WARNING, set=" or ".join(_VARIABLES))
        own = Frames(PushSource())
    beside = {name: _of_one(each) for name, each in settings.pipelines.items()}
    sources = {name: each.source for name, each in beside.items() if each is not None}
    return Frames(own.source, answering(own, beside), sources)


def answering(
    own: Frames, beside: Mapping[ModelName, Frames | None]
) -> Callable[[InferenceDone], None]:
    """Gives each pipeline's results to whoever hears of those of its own source; others go to nobody."""

    def answer(done: InferenceDone) -> None:
        asked = own if done.pipeline is None else beside[done.pipeline]
        if asked is not None and asked.on_result is not None:
            asked.on_result(done)

    return answer


_VARIABLES = {
    "FLEETWARD_FRAMES_DIR": "frames_dir",
    "FLEETWARD_FRAME_SOCKET": "frame_socket",
    "FLEETWARD_VIDEO": "video",
    "FLEETWARD_RECORDING": "recording",
    "FLEETWARD_ROS2_IMAGE_TOPIC": "ros2",
}


def _of_one(settings: Settings) -> Frames | None:
    given = [name for name, field in _VARIABLES.items() if getattr(settings, field) is not None]
    if len(given) > 1:
        raise SettingsError(
            f"{' and '.join(given)} are set: frames come from one source. Keep one of them."
        )
    if settings.frame_socket is not None:
        served = SocketSource(settings.frame_socket, settings.slots.frame_limit_bytes)
        return Frames(served, served.answer)
    if settings.ros2 is not None:
        joined = Ros2Source(
            settings.ros2, height_px=settings.frame_height_px, width_px=settings.frame_width_px
        )
        return Frames(joined, joined.answer)
    source = _played(settings)
    return None if source is None else Frames(source)


def _played(settings: Settings) -> Source | None:
    height_px, width_px = settings.frame_height_px, settings.frame_width_px
    if settings.frames_dir is not None:
        return DirectorySource(
            settings.frames_dir,
            rate_hz=settings.frame_rate_hz,
            height_px=height_px,
            width_px=width_px,
        )
    if settings.video is not None:
        return video_source(
            settings.video,
            height_px=height_px,
            width_px=width_px,
            rate_hz=settings.frame_rate_hz,
        )
    if settings.recording is not None:
        return mcap_source(
            settings.recording,
            height_px=height_px,
            width_px=width_px,
            topic=settings.recording_topic,
        )
    return None
