"""Frames of samples as they are recorded: all the time with every signal, for the last seconds with the chosen."""

from __future__ import annotations

import json
import struct

from edge_bridge.recorder.messages import chosen_samples, samples
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import Series, TelemetryFrame


def _frame(*signals: str) -> TelemetryFrame:
    """One sample of each."""
    count = len(signals)
    return TelemetryFrame(
        robot_id=RobotId("arm"),
        boot_id=BootId("boot"),
        sequence=1,
        started_at_ns=10**18,
        series=tuple(Series(signal=signal) for signal in signals),
        series_index=struct.pack(f"<{count}H", *range(count)),
        offsets_us=struct.pack(f"<{count}I", *range(count)),
        values=struct.pack(f"<{count}d", *range(count)),
    )


def test_every_frame_is_a_message_also_one_without_signals() -> None:
    assert json.loads(samples(_frame()).content) == {}
    assert json.loads(samples(_frame("a", "b")).content) == {
        "a": [[10**18, 0.0]],
        "b": [[10**18 + 1000, 1.0]],
    }


def test_frame_without_a_chosen_signal_is_nothing_to_keep() -> None:
    assert chosen_samples(_frame("a"), {"b"}) is None
    chosen = chosen_samples(_frame("a", "b"), {"b"})
    assert chosen is not None
    assert json.loads(chosen.content) == {"b": [[10**18 + 1000, 1.0]]}
