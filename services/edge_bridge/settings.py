"""Every bound of the bridge with its unit, in one frozen Struct, read once at the start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.backends.choice import CHOICES
from edge_bridge.backends.engine_variables import engines_from
from edge_bridge.converging.health import HealthBounds
from edge_bridge.credentials.limits import RenewalLimits
from edge_bridge.disturbance.limits import DisturbanceLimits
from edge_bridge.fetching.limits import FetchLimits
from edge_bridge.foxglove.address import FoxgloveAddress, foxglove_address
from edge_bridge.link import SILENCE_S
from edge_bridge.logs.limits import LogSettings
from edge_bridge.logs.variables import logs_of
from edge_bridge.pipeline_variables import names_in, refuse_unknown, variables_of
from edge_bridge.recorder.limits import ContinuousLimits, RecorderLimits
from edge_bridge.ros2.source import Ros2Topics
from edge_bridge.rules.settings import RuleSettings, rule_settings
from edge_bridge.shipping.upstream import UpstreamLimits
from edge_bridge.telemetry.columns import FrameLimits
from edge_bridge.uplink import UplinkLimits
from edge_bridge.workers.slot_settings import SlotSettings
from fleetward.bus.connection import BusSettings
from fleetward.bus.environment import Environment, SettingsError
from fleetward.contracts.ids import ModelName, RobotId, robot_id
from fleetward.contracts.robots import CHECK_IN_S
from fleetward.contracts.segments import MAX_SEGMENT_BYTES
from fleetward.releases.extras import lacked_without

MIB = 1024 * 1024
GIB = 1024 * MIB


class StoreLimits(Struct, frozen=True, kw_only=True):
    """How much disk models and telemetry may take."""

    models_bytes: int = 8 * GIB
    reserve_bytes: int = 64 * MIB
    """Stays free on the disk, so that the journal can always be written."""
    models_unpinned: int = 2
    """Models nothing needs that stay anyway: a later target may want them again."""
    spool_bytes: int = 64 * MIB
    """Telemetry that waits; its file takes up to half as much again, and 4 MiB for SQLite's log."""


class Settings(Struct, frozen=True, kw_only=True):
    """What one robot's bridge needs to know."""

    robot_id: RobotId
    nats_url: str
    credentials: Path
    state_dir: Path
    trust_dir: Path
    traces_dir: Path | None = None
    frames_dir: Path | None = None
    frame_socket: Path | None = None
    """Where other processes of the robot hand frames over and read answers (see ``frame_socket``)."""
    video: Path | None = None
    """A camera's device, or a video file to play back (see ``video_source``)."""
    recording: Path | None = None
    """An MCAP file whose images to play back (see ``mcap_source``)."""
    recording_topic: str | None = None
    ros2: Ros2Topics | None = None
    """Images of the robot's ROS 2 (see ``Ros2Source``)."""
    foxglove: FoxgloveAddress | None = None
    """Where viewers see frames, results, signals and log live; nowhere by default."""
    rules: RuleSettings | None = RuleSettings()
    """The alert rules by which the robot takes a model back by itself; None: by ``health`` alone."""
    frame_rate_hz: float = 10.0
    frame_height_px: int = 320
    frame_width_px: int = 320
    poll_s: float = 5.0
    """How often the target is read without a nudge."""
    look_spacing_s: float = 0.1
    """The least time between two looks: a nudge carries no meaning and may come from anywhere."""
    look_patience_s: float = 2.0
    """How long a new target waits for the registry to say whose signatures count today."""
    check_in_s: float = CHECK_IN_S
    round_trip_s: float = 2.0
    """How often the way to the hub and back is measured."""
    link_silence_s: float = SILENCE_S
    """A connection that brings nothing for so long, although the hub was asked, is made anew."""
    vitals_s: float = 1.0
    host_root: Path = Path("/")
    """Where the machine's own ``/sys`` and ``/proc`` are seen, for a bridge in a container."""
    control_probe_hz: float = 20.0
    """0 leaves the probe out: the robot's own control loop reports instead."""
    ready_offline_after_s: float = 10.0
    """A robot boots without its hub: it counts as ready after so long anyway."""
    facts_path: Path | None = None
    """A JSON file of facts for interlocks, for a bridge that no program embeds (see ``facts``)."""
    fact_max_age_s: float = 5.0
    """What was said longer ago counts as unknown, and an interlock on it does not hold."""
    stop_timeout_s: float = 1.5
    proof_timeout_s: float = 60.0
    """How long a swapped model may take to its last proving inference while frames arrive."""
    retry_wait_s: float = 0.5
    """The first wait after a transient failure; it doubles."""
    retry_wait_limit_s: float = 30.0
    slots: SlotSettings = SlotSettings()
    health: HealthBounds = HealthBounds()
    disturbance: DisturbanceLimits = DisturbanceLimits()
    fetch: FetchLimits = FetchLimits()
    frames: FrameLimits = FrameLimits()
    store: StoreLimits = StoreLimits()
    uplink: UplinkLimits = UplinkLimits()
    upstream: UpstreamLimits = UpstreamLimits()
    recorder: RecorderLimits = RecorderLimits()
    continuous: ContinuousLimits = ContinuousLimits()
    logs: LogSettings = LogSettings()
    renewal: RenewalLimits = RenewalLimits()
    extras: tuple[str, ...] = ()
    """Of the bridge, that the variables it was told by need here: for its check-ins."""
    pipelines: dict[ModelName, Settings] = {}
    """The models that have a pipeline of their own beside the robot's, and what is said of each: its
    slots, health, disturbance and frames. The rest a robot has once."""

    @property
    def bus(self) -> BusSettings:
        """How this robot connects."""
        return BusSettings(url=self.nats_url, credentials=self.credentials, name=self.robot_id)


def _slots(environment: Environment) -> SlotSettings:
    """Which runtime serves here, and how engines are built for it."""
    slots = SlotSettings()
    return replace(
        slots,
        backend=environment.choice("FLEETWARD_BACKEND", CHOICES, slots.backend),
        engines=engines_from(environment),
        growth_limit_bytes=int(
            environment.number("FLEETWARD_WORKER_GROWTH_MIB", slots.growth_limit_bytes / MIB) * MIB
        ),
    )


def _ros2(environment: Environment) -> Ros2Topics | None:
    """None: this robot's images come from elsewhere."""
    image_topic = environment.optional_text("FLEETWARD_ROS2_IMAGE_TOPIC")
    if image_topic is None:
        return None
    topics = Ros2Topics(image_topic=image_topic)
    result_topic = environment.text("FLEETWARD_ROS2_RESULT_TOPIC", topics.result_topic)
    return replace(topics, result_topic=result_topic)


def _recorder(environment: Environment) -> RecorderLimits:
    """Off unless FLEETWARD_RECORDER says ``on``."""
    limits = RecorderLimits()
    return replace(
        limits,
        enabled=environment.choice("FLEETWARD_RECORDER", ("off", "on"), "off") == "on",
        ring_s=environment.number("FLEETWARD_RECORDER_RING_S", limits.ring_s),
        ring_bytes=int(
            environment.number("FLEETWARD_RECORDER_RING_MIB", limits.ring_bytes / MIB) * MIB
        ),
        frame_every=int(environment.optional_number("FLEETWARD_RECORDER_FRAME_EVERY") or 0),
        bytes_per_s=environment.optional_number("FLEETWARD_RECORDER_BYTES_PER_S"),
    )


def _continuous(environment: Environment) -> ContinuousLimits:
    """Off unless FLEETWARD_CONTINUOUS_TOPICS names topics: ``/camera/*,/imu``."""
    limits = ContinuousLimits()
    topics = (environment.optional_text("FLEETWARD_CONTINUOUS_TOPICS") or "").split(",")
    shipping = replace(
        limits.shipping,
        outbox_bytes=int(
            environment.number(
                "FLEETWARD_CONTINUOUS_OUTBOX_MIB", limits.shipping.outbox_bytes / MIB
            )
            * MIB
        ),
        bytes_per_s=environment.optional_number("FLEETWARD_CONTINUOUS_BYTES_PER_S"),
    )
    limits = replace(
        limits,
        topics=tuple(stripped for each in topics if (stripped := each.strip())),
        segment_s=environment.number("FLEETWARD_CONTINUOUS_SEGMENT_S", limits.segment_s),
        segment_bytes=int(
            environment.number("FLEETWARD_CONTINUOUS_SEGMENT_MIB", limits.segment_bytes / MIB) * MIB
        ),
        queue_bytes=int(
            environment.number("FLEETWARD_CONTINUOUS_QUEUE_MIB", limits.queue_bytes / MIB) * MIB
        ),
        frame_every=max(
            1, int(environment.number("FLEETWARD_CONTINUOUS_FRAME_EVERY", limits.frame_every))
        ),
        shipping=shipping,
    )
    if limits.segment_bytes > MAX_SEGMENT_BYTES // 2 or shipping.outbox_bytes < (
        2 * limits.segment_bytes
    ):
        raise SettingsError(
            f"FLEETWARD_CONTINUOUS_SEGMENT_MIB is {MAX_SEGMENT_BYTES // 2 // MIB} at most, and "
            "FLEETWARD_CONTINUOUS_OUTBOX_MIB holds two segments at least."
        )
    return limits


def _fetch(environment: Environment) -> FetchLimits:
    return replace(
        FetchLimits(),
        bytes_per_s=environment.optional_number("FLEETWARD_FETCH_BYTES_PER_S"),
        site_cache=environment.optional_text("FLEETWARD_SITE_CACHE"),
    )


def _disturbance(environment: Environment) -> DisturbanceLimits:
    """No limit unless one is set."""
    limits = DisturbanceLimits()
    return replace(
        limits,
        inference_p99_s=_seconds(environment, "FLEETWARD_DISTURBANCE_INFERENCE_MS"),
        control_loop_p99_s=_seconds(environment, "FLEETWARD_DISTURBANCE_CONTROL_LOOP_MS"),
        patience_s=environment.number("FLEETWARD_DISTURBANCE_PATIENCE_S", limits.patience_s),
    )


def _seconds(environment: Environment, name: str) -> float | None:
    milliseconds = environment.optional_number(name)
    return None if milliseconds is None else milliseconds / 1e3


def settings_from(variables: Mapping[str, str]) -> Settings:
    """Settings from FLEETWARD_ variables; raises SettingsError or InvalidIdError."""
    names = names_in(variables)
    refuse_unknown(variables, names)
    pipelines = {name: _of_one(variables_of(variables, name)) for name in names}
    whole = Environment(variables)
    return replace(
        _of_one(variables),
        pipelines=pipelines,
        foxglove=foxglove_address(whole),
        logs=logs_of(whole),
        rules=rule_settings(whole),
        extras=tuple(sorted(lacked_without(variables, os.uname().machine))),
    )


def _of_one(variables: Mapping[str, str]) -> Settings:
    environment = Environment(variables)
    settings = Settings(
        state_dir=environment.path("FLEETWARD_STATE_DIR"),
        robot_id=robot_id(environment.text("FLEETWARD_ROBOT_ID")),
        nats_url=environment.text("FLEETWARD_NATS_URL"),
        credentials=environment.path("FLEETWARD_CREDENTIALS"),
        trust_dir=environment.path("FLEETWARD_TRUST_DIR"),
        traces_dir=environment.optional_path("FLEETWARD_TRACES_DIR"),
        frames_dir=environment.optional_path("FLEETWARD_FRAMES_DIR"),
        frame_socket=environment.optional_path("FLEETWARD_FRAME_SOCKET"),
        video=environment.optional_path("FLEETWARD_VIDEO"),
        recording=environment.optional_path("FLEETWARD_RECORDING"),
        recording_topic=environment.optional_text("FLEETWARD_RECORDING_TOPIC"),
        ros2=_ros2(environment),
        facts_path=environment.optional_path("FLEETWARD_FACTS_FILE"),
    )
    return replace(
        settings,
        slots=_slots(environment),
        host_root=environment.optional_path("FLEETWARD_HOST_ROOT") or settings.host_root,
        frame_rate_hz=environment.number("FLEETWARD_FRAME_RATE_HZ", settings.frame_rate_hz),
        frame_height_px=int(
            environment.number("FLEETWARD_FRAME_HEIGHT_PX", settings.frame_height_px)
        ),
        frame_width_px=int(environment.number("FLEETWARD_FRAME_WIDTH_PX", settings.frame_width_px)),
        poll_s=environment.number("FLEETWARD_POLL_S", settings.poll_s),
        fetch=_fetch(environment),
        recorder=_recorder(environment),
        continuous=_continuous(environment),
        upstream=UpstreamLimits(
            bytes_per_s=environment.optional_number("FLEETWARD_UPLOAD_BYTES_PER_S")
        ),
        disturbance=_disturbance(environment),
        fact_max_age_s=environment.number("FLEETWARD_FACT_MAX_AGE_S", settings.fact_max_age_s),
        check_in_s=environment.number("FLEETWARD_CHECK_IN_S", settings.check_in_s),
        ready_offline_after_s=environment.number(
            "FLEETWARD_READY_OFFLINE_AFTER_S", settings.ready_offline_after_s
        ),
    )
