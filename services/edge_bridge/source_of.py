"""Which source a bridge of its own reads, by its settings; a program that embeds one brings its own."""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec import Struct

from edge_bridge.frame_socket import SocketSource
from edge_bridge.inference_done import InferenceDone
from edge_bridge.settings import Settings
from edge_bridge.sources import DirectorySource, PushSource, Source
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
    }
    given = [name for name, path in named.items() if path is not None]
    if len(given) > 1:
        raise SettingsError(
            f"{' and '.join(given)} are both set: frames come from one source. Unset one."
        )
    if settings.frame_socket is not None:
        served = SocketSource(settings.frame_socket, settings.slots.frame_limit_bytes)
        return Frames(served, served.answer)
    if settings.frames_dir is not None:
        return Frames(_directory(settings))
    log(_logger, "bridge.without_frames", level=logging.WARNING, set=", ".join(named))
    return Frames(PushSource())


def _directory(settings: Settings) -> DirectorySource:
    assert settings.frames_dir is not None
    return DirectorySource(
        settings.frames_dir,
        rate_hz=settings.frame_rate_hz,
        height_px=settings.frame_height_px,
        width_px=settings.frame_width_px,
    )
