"""A disk that takes its time holds up telemetry, and not the loop that gives frames to the model."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from edge_bridge.disk_thread import DiskThread
from edge_bridge.link import Link
from edge_bridge.telemetry.sending import FrameSender
from edge_bridge.telemetry.spool import Spool
from edge_bridge.uplink import UplinkLimits
from fleetward.bus.connection import BusSettings
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import TelemetryStored

LONG_S = 10.0


class SlowSpool(Spool):
    """Forgets frames when the loop has had a turn meanwhile."""

    looped = threading.Event()

    def stored(self, boot: BootId, sequence: int, sent_place: int) -> int:
        assert self.looped.wait(LONG_S), "the loop waited for the disk"
        return super().stored(boot, sequence, sent_place)


async def test_the_loop_goes_on_while_frames_are_forgotten(tmp_path: Path) -> None:
    spool = SlowSpool(tmp_path / "spool.db", 1024 * 1024)
    nowhere = BusSettings(url="nats://127.0.0.1:1", credentials=tmp_path / "none", name="r1")
    link = Link(nowhere, tmp_path / "renewed", silence_s=12.0)
    sender = FrameSender(spool, link, UplinkLimits(), DiskThread())
    watermark = TelemetryStored(robot_id=RobotId("r1"), boot_id=BootId("b1"), sequence=1)
    asyncio.get_running_loop().call_soon(spool.looped.set)
    sender.stored(encode(watermark))
    await sender.forget_stored()
    assert not sender.to_forget
    spool.close()
