"""A frame is taken whole or refused with a reason; nothing a robot sends breaks the reader."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from fleetward.contracts.telemetry import MAX_SAMPLES_PER_FRAME, MAX_SERIES_PER_FRAME, Series
from telemetry_ingest.columns import MAX_SEQUENCE, columns_of
from telemetry_ingest.errors import FrameRefusedError
from testkit.telemetry import frame, nanoseconds

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone.utc)
GOOD = frame(
    "r1",
    "b1",
    7,
    START,
    {"link.rtt": [(0.0, 0.02), (0.1, 0.03)], "sensor.sample.rate": [(0.05, 20.0)]},
)

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "half a value": ({"values": GOOD.values[:-1]}, "not a multiple of 8"),
    "a value missing": ({"values": GOOD.values[:-8]}, "array lengths differ"),
    "an offset missing": ({"offsets_us": GOOD.offsets_us[:-4]}, "array lengths differ"),
    "an index past the series": (
        {"series_index": np.array([0, 2, 1], "<u2").tobytes()},
        "series_index 2 of only 2 series",
    ),
    "no series at all": ({"series": ()}, "of only 0 series"),
    "a value that is no number": (
        {"values": np.array([1.0, np.nan, 2.0]).tobytes()},
        "NaN or infinite",
    ),
    "an infinite value": ({"values": np.array([1.0, np.inf, 2.0]).tobytes()}, "NaN or infinite"),
    "an offset of an hour": (
        {"offsets_us": np.array([0, 1, 3_600_000_000], "<u4").tobytes()},
        "beyond 60 s",
    ),
    "sequence zero": ({"sequence": 0}, "sequence is outside"),
    "a sequence past exact floats": ({"sequence": MAX_SEQUENCE + 1}, "sequence is outside"),
    "a time before 1970": ({"started_at_ns": -1}, "started_at_ns"),
    "a time that overflows": ({"started_at_ns": 2**63 - 1}, "started_at_ns"),
    "too many series": (
        {"series": tuple(Series(signal="a") for _ in range(MAX_SERIES_PER_FRAME + 1))},
        "are more than",
    ),
    "a signal that is a query": (
        {"series": (Series(signal="a'; DROP TABLE x"), Series(signal="b"))},
        "is not 1 to 128 of",
    ),
    "an attribute of a novel": (
        {"series": (Series(signal="a", attributes={"k": "v" * 257}), Series(signal="b"))},
        "is longer than",
    ),
    "a hundred attributes": (
        {
            "series": (
                Series(signal="a", attributes={f"k{n}": "v" for n in range(100)}),
                Series(signal="b"),
            )
        },
        "attributes, more than",
    ),
    "too many samples": (
        {
            "series_index": bytes(2 * (MAX_SAMPLES_PER_FRAME + 1)),
            "offsets_us": bytes(4 * (MAX_SAMPLES_PER_FRAME + 1)),
            "values": bytes(8 * (MAX_SAMPLES_PER_FRAME + 1)),
        },
        "are more than",
    ),
}


def test_offsets_become_unix_nanoseconds_without_rounding() -> None:
    columns = columns_of(GOOD)
    assert columns.at_ns.tolist() == [
        nanoseconds(START),
        nanoseconds(START) + 50_000_000,
        nanoseconds(START) + 100_000_000,
    ]
    assert columns.values.tolist() == [0.02, 20.0, 0.03]
    assert columns.series_index.tolist() == [0, 1, 0]


def test_a_frame_without_samples_is_a_frame() -> None:
    assert columns_of(frame("r1", "b1", 1, START, {})).samples == 0


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_is_refused_with_its_reason(name: str) -> None:
    changes, reason = BROKEN[name]
    with pytest.raises(FrameRefusedError, match=reason):
        columns_of(replace(GOOD, **changes))


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64), st.integers())
def test_any_bytes_give_columns_of_one_length_or_a_refusal(
    index: bytes, offsets: bytes, values: bytes, started_at_ns: int
) -> None:
    hostile = replace(
        GOOD, series_index=index, offsets_us=offsets, values=values, started_at_ns=started_at_ns
    )
    try:
        columns = columns_of(hostile)
    except FrameRefusedError:
        return
    assert len(columns.at_ns) == len(columns.series_index) == columns.samples
