"""Every bound of the flight recorder, and of what is recorded all the time, with its unit."""

from __future__ import annotations

from msgspec import Struct

from edge_bridge.shipping.limits import ShippingLimits
from fleetward.contracts import signals

MIB = 1024 * 1024
CHOSEN_SIGNALS = (
    signals.PERCEPTION_DURATION.name,
    signals.CLOUD_ROUND_TRIP.name,
    signals.SENSOR_RATE.name,
    signals.SENSOR_DROPPED.name,
)


class RecorderLimits(Struct, frozen=True, kw_only=True):
    """What the recorder keeps, and what it may take of memory, disk and link."""

    enabled: bool = False
    """Off: every alert then costs the robot's link a recording, and every second its flash a write."""
    ring_s: float = 180.0
    """What happened so long ago is forgotten, unless a recording that is not cut yet wants it."""
    ring_bytes: int = 64 * MIB
    """Of the segments together; what is oldest goes first, wanted or not."""
    segment_s: float = 5.0
    segment_bytes: int = 4 * MIB
    queue_messages: int = 4096
    queue_bytes: int = 16 * MIB
    """What waits for the disk in memory; past it messages are dropped and counted."""
    write_every_s: float = 0.2
    stop_s: float = 1.5
    """How long the end of the bridge waits for what is being written."""
    frame_every: int = 0
    """Every so many-th frame is recorded; 0: none."""
    signals: tuple[str, ...] = CHOSEN_SIGNALS
    outbox: int = 8
    """Recordings that wait for their end, or to be sent; further ones are refused."""
    alert_spacing_s: float = 300.0
    """Alerts ask for at most one recording in so long, counted from when each was asked for."""
    clock_patience_s: float = 5.0
    """How long a request waits for the robot to learn the hub's time, by which it is meant."""
    bytes_per_s: float | None = None
    outbox_bytes: int = 256 * MIB
    """Of recordings that were cut and not sent yet; one is cut shorter where it would be more."""
    part_stall_s: float = 30.0
    """A part of which nothing leaves for so long, once it is its turn, is given up and sent again."""
    retry_wait_s: float = 1.0
    retry_wait_limit_s: float = 60.0
    upload_attempts: int = 3
    """Uploads whose bytes did not arrive as they are here, before the recording is given up."""
    remembered: int = 64
    """Recordings that were sent or given up, kept by name: what is asked for twice is made once."""


class ContinuousLimits(Struct, frozen=True, kw_only=True):
    """What is recorded all the time, and what that may take of memory, disk and link."""

    topics: tuple[str, ...] = ()
    """Patterns as of a shell, ``/camera/*``; none: off."""
    segment_s: float = 60.0
    segment_bytes: int = 128 * MIB
    queue_messages: int = 16_384
    queue_bytes: int = 128 * MIB
    """What waits for the disk in memory, where disks stall; past it messages are lost and counted."""
    message_bytes: int = 32 * MIB
    """A larger message is lost, and counted."""
    write_every_s: float = 0.05
    switch_s: float = 0.0005
    """So long a thread that records may go on while the loop waits for Python's lock; CPython's own 5 ms are
    half a turn of a control loop."""
    flush_every_s: float = 1.0
    """So long small messages wait for their chunk to be full: a kill takes them."""
    retry_wait_s: float = 1.0
    """For how long a disk that failed is left alone."""
    stop_s: float = 1.5
    """How long the end of the bridge waits for what is being written; what is sealed has its own bound."""
    frame_every: int = 1
    """Every so many-th frame, as it is, where ``/frames`` is one of the topics."""
    ring_message_bytes: int = 256 * 1024
    """What is larger, and recorded all the time, does not also go to the flight recorder's ring."""
    shipping: ShippingLimits = ShippingLimits()
