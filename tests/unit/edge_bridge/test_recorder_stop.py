"""The end of the bridge waits so long for the flight recorder, however far the disk is behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from edge_bridge.recorder.file import Recorded
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.recorder.recorder import FlightRecorder
from edge_bridge.recorder.ring import SegmentRing
from tests.unit.edge_bridge.test_recorder import message


class StuckRing(SegmentRing):
    """A disk that takes its time."""

    hold = threading.Event()

    def write(self, messages: Iterable[Recorded]) -> int:
        self.hold.wait(60)
        return super().write(messages)


def test_end_waits_so_long_for_a_stuck_disk_and_says_what_was_not_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = RecorderLimits(enabled=True, write_every_s=0.001, stop_s=0.05)
    recorder = FlightRecorder(StuckRing(tmp_path, limits, reserve_bytes=0), limits)
    for number in range(3):
        assert recorder.put(message(number))
    recorder.start()
    began_s = time.monotonic()
    try:
        recorder.stop()
        assert time.monotonic() - began_s < 5.0
    finally:
        StuckRing.hold.set()
    (said,) = [each for each in caplog.messages if "recorder.unwritten" in each]
    assert said == "recorder.unwritten (messages=3)"
