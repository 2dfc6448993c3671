"""What a robot lost of its recordings, and what of them waits, reaches the hub as signals that rules can judge."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.recorder.limits import ContinuousLimits, RecorderLimits
from edge_bridge.shipping.limits import ShippingLimits
from edge_bridge.shipping.numbers import MessageNumbers
from edge_bridge.sources.source import PushSource
from fleetward.contracts import signals
from fleetward.contracts.signals import Signal
from fleetward.contracts.telemetry import KIND_ATTRIBUTE, TelemetryFrame
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet

MESSAGE_BYTES = 10_000
RING_BYTES = 20_000
ROOM_BYTES = 40_000
LIMITS = ContinuousLimits(
    topics=("/plan",),
    message_bytes=MESSAGE_BYTES,
    ring_message_bytes=RING_BYTES,
    segment_s=0.1,
    shipping=ShippingLimits(outbox_bytes=ROOM_BYTES),
)


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def values(frame: TelemetryFrame, signal: Signal, kind: str) -> list[float]:
    count = len(frame.values) // 8
    of = struct.unpack(f"<{count}H", frame.series_index)
    said = struct.unpack(f"<{count}d", frame.values)
    return [
        value
        for index, value in zip(of, said, strict=True)
        if frame.series[index].signal == signal.name
        and frame.series[index].attributes.get(KIND_ATTRIBUTE) == kind
    ]


async def says(fleet: Fleet, signal: Signal, kind: str, least: float) -> float:
    """Until a frame says so much; the value."""
    async with asyncio.timeout(WAIT_S):
        while True:
            for frame in list(fleet.frames.values()):
                found = [value for value in values(frame, signal, kind) if value >= least]
                if found:
                    return found[-1]
            await asyncio.sleep(0.05)


async def test_what_is_lost_and_what_waits_is_told_of_each_kind(fleet: Fleet) -> None:
    settings = fleet.settings(
        continuous=LIMITS,
        recorder=RecorderLimits(enabled=True, queue_messages=1, write_every_s=60.0),
        vitals_s=0.1,
    )
    async with Bridge(settings, source=PushSource()) as bridge:
        assert not bridge.black_box.log("/plan", b"x" * (RING_BYTES + MESSAGE_BYTES))
        assert await says(fleet, signals.RECORDING_LOST, "recording", 1.0) == 1.0
        for number in range(3):  # the hub has no registry that would take them
            assert bridge.black_box.log("/plan", b"x" * (MESSAGE_BYTES - 1), at_ns=number)
            await asyncio.sleep(0)
        waiting = await says(fleet, signals.RECORDING_OUTBOX, "recording", 1.0)
        share = await says(fleet, signals.RECORDING_OUTBOX_UTILIZATION, "recording", 1e-9)
        assert 0 < waiting <= ROOM_BYTES
        assert 0 < share <= 1
        await says(fleet, signals.RECORDING_LOST, "incident", 1.0)


async def test_what_one_bridge_left_unwritten_is_told_by_the_next(fleet: Fleet) -> None:
    settings = fleet.settings(continuous=LIMITS, vitals_s=0.1)
    async with Bridge(settings, source=PushSource()):
        pass
    numbers = MessageNumbers(settings.state_dir / "continuous" / "numbers")
    for _ in range(7):
        numbers.take()  # as messages had them that were in memory alone
    numbers.close()
    async with Bridge(settings, source=PushSource()):
        assert await says(fleet, signals.RECORDING_LOST, "recording", 7.0) == 7.0
