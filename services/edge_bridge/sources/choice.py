"""Which source a bridge of its own reads, by its settings; a program that embeds one brings its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import Struct

from edge_bridge.settings import Settings
from edge_bridge.sources.frame_socket import SocketSource
from edge_bridge.sources.mcap_source import mcap_source
from edge_bridge.sources.source import DirectorySource, PushSource, Source
from edge_bridge.sources.video import video_source
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.environment import SettingsError
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)


class Frames(Struct, frozen=True):
    """Where frames come from, and who hears what the model said of them."""

    source: Source
    on_result: Callable[[InferenceDone], None] | None = None


def frames_of(settings: Settings) -> Frames:
    """The one source that the settings name; raises SettingsError when they name several.

    None: a robot without a camera yet still fetches and reports.
    """
    named = {
        "FLEETWARD_FRAMES_DIR": settings.frames_dir,
        "FLEETWARD_FRAME_SOCKET": settings.frame_socket,
        "FLEETWARD_VIDEO": settings.video,
        "FLEETWARD_RECORDING": settings.recording,
    }
    given = [name for name, path in named.items() if path is not None]
    if len(given) > 1:
        raise SettingsError(
            f"{' and '.join(given)} are set: frames come from one source. Keep one of them."
        )
    if settings.frame_socket is not None:
        served = SocketSource(settings.frame_socket, settings.slots.frame_limit_bytes)
        return Frames(served, served.answer)
    source = _played(settings)
    if source is None:
        log(_logger, "bridge.without_frames", level=logging.WARNING, set=" or ".join(named))
    return Frames(source or PushSource())


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
