"""What a robot measures arrives in columns that telemetry-ingest can view without parsing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_bridge.telemetry.columns import FrameLimits, Recorder
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import TelemetryFrame


def recorder(**limits: int) -> Recorder:
    return Recorder(RobotId("r1"), BootId("b1"), FrameLimits(**limits))


def test_samples_come_back_by_series_time_and_value() -> None:
    taken = recorder()
    taken.record("link.rtt", 0.02, at_ns=1_000_000_000)
    taken.record("model.inference.duration", 0.1, {"digest": "d"}, at_ns=1_002_000_000)
    taken.record("link.rtt", 0.03, at_ns=1_004_000_000)
    frame = taken.cut()
    assert frame is not None
    assert [(one.signal, one.attributes) for one in frame.series] == [
        ("link.rtt", {}),
        ("model.inference.duration", {"digest": "d"}),
    ]
    assert frame.started_at_ns == 1_000_000_000
    assert np.frombuffer(frame.series_index, "<u2").tolist() == [0, 1, 0]
    assert np.frombuffer(frame.offsets_us, "<u4").tolist() == [0, 2_000, 4_000]
    assert np.frombuffer(frame.values, "<f8").tolist() == [0.02, 0.1, 0.03]


def test_nothing_recorded_makes_no_frame() -> None:
    assert recorder().cut() is None


def test_a_cut_starts_afresh() -> None:
    taken = recorder()
    taken.record("link.rtt", 0.02)
    taken.cut()
    assert taken.cut() is None


def test_what_no_frame_can_hold_is_refused_and_counted() -> None:
    taken = recorder(max_samples=2, max_series=1)
    taken.record("link.rtt", math.nan)
    taken.record("link.rtt", math.inf)
    taken.record("link.rtt", 1.0)
    taken.record("link.reconnects", 1.0)
    taken.record("link.rtt", 2.0)
    taken.record("link.rtt", 3.0)
    frame = taken.cut()
    assert frame is not None
    assert np.frombuffer(frame.values, "<f8").tolist() == [1.0, 2.0]
    assert taken.samples_refused == 4


@pytest.mark.parametrize(
    ("signal", "attributes"),
    [
        ("", {}),
        ("1st", {}),
        ("a b", {}),
        ("x" * 129, {}),
        ("x", {"key": "v" * 257}),
        ("x", {f"key{number}": "v" for number in range(17)}),
    ],
)
def test_a_name_that_ingest_would_refuse_never_spoils_a_frame(
    signal: str, attributes: dict[str, str]
) -> None:
    taken = recorder()
    taken.record(signal, 1.0, attributes)
    assert taken.cut() is None
    assert taken.samples_refused == 1


def test_the_fullest_frame_is_within_what_the_catalog_allows() -> None:
    taken = recorder()
    for number in range(10_000):
        taken.record("x", 1.0, {f"{number % 300}": "ü" * 200})
    frame = taken.cut()
    assert frame is not None
    assert len(encode(frame)) < row_of(TelemetryFrame).size_limit_bytes


def test_a_clock_set_back_while_a_frame_is_open_leaves_a_readable_frame() -> None:
    taken = recorder()
    taken.record("link.rtt", 1.0, at_ns=10_000_000_000_000)
    taken.record("link.rtt", 2.0, at_ns=1_000_000_000)
    frame = taken.cut()
    assert frame is not None
    assert np.frombuffer(frame.offsets_us, "<u4").max() < 60_000_000
