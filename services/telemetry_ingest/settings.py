"""Everything telemetry-ingest may be told, and every limit it keeps, in one frozen Struct."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from fleetward.bus.connection import BusSettings
from fleetward.bus.environment import Environment
from fleetward.contracts.rows import Principal

DAY_S = 86_400.0
MIB = 1024 * 1024
GIB = 1024 * MIB


class Settings(Struct, frozen=True, kw_only=True):
    """One process's settings. Bytes, seconds and counts are in the names."""

    bus: BusSettings
    state_dir: Path
    traces_dir: Path | None = None

    flush_samples: int = 100_000
    flush_after_s: float = 1.0
    buffer_samples: int = 2_000_000
    buffer_frames: int = 20_000
    """Frames waiting for the disk; at the limit no more are taken from the bus."""

    pull_batch_frames: int = 500
    retry_first_s: float = 0.5
    retry_longest_s: float = 15.0
    stop_within_s: float = 5.0
    """A disk that takes nothing must not keep the process from stopping."""

    refused_retry_s: float = 5.0
    """After which a refused frame comes again when its dead letter could not be kept."""

    announce_every_s: float = 5.0
    announce_boots_changed_within_s: float = 600.0
    """Watermarks are announced again: a robot that missed one must not wait for its next frame."""

    summaries_at_once: int = 500

    maintenance_every_s: float = 10.0
    keep_segments_s: float = 30 * DAY_S
    keep_segment_bytes: int = 64 * GIB
    keep_boots_s: float = 90 * DAY_S
    """Outlasts the stream and every spool, so that no frame can come back after it is forgotten."""

    boots_per_robot: int = 10_000
    merge_at_segments: int = 32
    merge_samples: int = 4_000_000

    query_samples: int = 10_000
    query_reply_bytes: int = 900 * 1024
    query_memory_bytes: int = 512 * MIB

    @property
    def segments_dir(self) -> Path:
        """Where the segments lie."""
        return self.state_dir / "segments"


def settings_from(variables: Mapping[str, str]) -> Settings:
    """Settings from FLEETWARD_ variables; raises SettingsError."""
    environment = Environment(variables)
    settings = Settings(
        bus=environment.bus(Principal.INGEST.value),
        state_dir=environment.path("FLEETWARD_STATE_DIR"),
        traces_dir=environment.optional_path("FLEETWARD_TRACES_DIR"),
    )
    days = environment.number("FLEETWARD_TELEMETRY_KEEP_DAYS", settings.keep_segments_s / DAY_S)
    return replace(settings, keep_segments_s=days * DAY_S)
