"""A recording process killed with -9 at any point leaves segments that are read to their last message."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from edge_bridge.recorder.file import Recorded, messages_in
from edge_bridge.recorder.limits import RecorderLimits
from edge_bridge.recorder.recorder import FlightRecorder
from edge_bridge.recorder.ring import SegmentRing

KILLS = 10
LIMITS = RecorderLimits(segment_bytes=20_000, write_every_s=0.001)


def _record_for_ever(directory: Path, written: int) -> None:
    """Tell through ``written`` how many messages the kernel was given for sure."""
    ring = SegmentRing(directory, LIMITS, reserve_bytes=0)
    number = 0
    while True:
        batch = [
            Recorded(topic="/t", at_ns=number + each, content=b"x" * 300) for each in range(20)
        ]
        number += ring.write(batch)
        os.write(written, number.to_bytes(8, "little"))


def _killed_after(directory: Path, rounds: int) -> int:
    """How many messages the process said it wrote before it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _record_for_ever(directory, writer)
        finally:
            os._exit(1)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        told = b"".join(said.read(8) for _ in range(rounds))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        told += said.read()
    return int.from_bytes(told[-8:], "little")


@pytest.mark.parametrize("seed", range(KILLS))
def test_nothing_that_was_written_is_lost(tmp_path: Path, seed: int) -> None:
    written = _killed_after(tmp_path, random.Random(seed).randint(1, 30))

    ring = SegmentRing(tmp_path, LIMITS, reserve_bytes=0)
    read = [each.at_ns for path in ring.segments() for each in messages_in(path)]
    assert read[:written] == list(range(written))
    assert read == list(range(len(read)))
    assert ring.write([Recorded(topic="/t", at_ns=time.time_ns(), content=b"on")]) == 1


def test_recorder_goes_on_in_a_ring_that_a_kill_left(tmp_path: Path) -> None:
    _killed_after(tmp_path, 3)
    recorder = FlightRecorder(SegmentRing(tmp_path, LIMITS, reserve_bytes=0), LIMITS)
    recorder.start()
    assert recorder.put(Recorded(topic="/after", at_ns=1, content=b"the kill"))
    recorder.stop()
    last = sorted(tmp_path.iterdir())[-1]
    assert [each.topic for each in messages_in(last)] == ["/after"]
