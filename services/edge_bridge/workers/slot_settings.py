"""Every bound of the inference side, with its unit and its default."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.backends.engine_settings import EngineSettings


class SlotSettings(Struct, frozen=True, kw_only=True):
    """The limits one robot's slots work within."""

    backend: str = "auto"
    """Which runtime serves; see ``edge_bridge.backends.choice``."""
    engines: EngineSettings = EngineSettings()
    frame_limit_bytes: int = 1920 * 1080 * 3
    """The largest frame; memory is used only for pages that were written."""
    in_flight_limit: int = 1
    """Frames at one worker at a time. One keeps the waiting frame the newest there is."""
    frame_deadline_s: float = 5.0
    """A worker that holds a frame and answers nothing for so long is hung, and is killed."""
    shadow_deadline_s: float = 30.0
    """The same for a shadow, which infers only while the processor is idle."""
    reissue_limit: int = 1
    """How often a frame is tried again: one that kills two workers is not given to a third."""
    gentle_load_s: float = 10.0
    """How long a model loads under SCHED_IDLE before it may compete for the processor."""
    load_timeout_s: float = 120.0
    gentle_build_s: float = 600.0
    """The same for an engine that is built: it takes minutes, and is needed once."""
    warm_up_runs: int = 5
    inline_output_limit_bytes: int = 16_384
    """Outputs up to this size travel whole with the result; larger ones as a summary."""
    restart_delay_s: float = 0.1
    """The first wait before a worker that died again and again is restarted; it doubles."""
    restart_delay_limit_s: float = 5.0
    restart_forgiven_frames: int = 50
    """A worker that answered so many frames starts with the first delay again."""
    growth_limit_bytes: int = 512 * 1024 * 1024
    """What a worker's own memory may grow by while it serves. Past it another takes its place, or the warm
    model does; past twice as much it is killed."""
    weigh_every_frames: int = 30
    stderr_fd: int | None = None
    """Where workers write what goes wrong; None: where the bridge does."""
