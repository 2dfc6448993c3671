"""A frame's packed columns come apart into the samples that went in."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleetward.client import samples_of
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.ids import BootId, robot_id
from fleetward.contracts.telemetry import Series, TelemetryFrame

SERIES = (Series(signal="a"), Series(signal="b", attributes={"camera": "left"}))
STARTED_AT_NS = 1_700_000_000_000_000_000

columns = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 2**32 - 1),
        st.floats(allow_nan=False, allow_infinity=True),
    ),
    max_size=20,
)


def frame(rows: list[tuple[int, int, float]]) -> TelemetryFrame:
    count = len(rows)
    return TelemetryFrame(
        robot_id=robot_id("arm-1"),
        boot_id=BootId("b1"),
        sequence=3,
        started_at_ns=STARTED_AT_NS,
        series=SERIES,
        series_index=struct.pack(f"<{count}H", *(row[0] for row in rows)),
        offsets_us=struct.pack(f"<{count}I", *(row[1] for row in rows)),
        values=struct.pack(f"<{count}d", *(row[2] for row in rows)),
    )


@given(columns)
def test_every_sample_comes_back_with_its_series_time_and_value(
    rows: list[tuple[int, int, float]],
) -> None:
    samples = list(samples_of(frame(rows)))

    assert [(sample.signal, sample.at_ns, sample.value) for sample in samples] == [
        (SERIES[index].signal, STARTED_AT_NS + offset_us * 1000, value)
        for index, offset_us, value in rows
    ]


def test_columns_of_different_lengths_are_refused() -> None:
    uneven = structs.replace(frame([(0, 0, 1.0)]), offsets_us=b"")
    with pytest.raises(UnreadableMessageError, match="not of one length"):
        list(samples_of(uneven))


def test_a_series_that_is_not_there_is_refused() -> None:
    foreign = structs.replace(frame([(1, 0, 1.0)]), series=SERIES[:1])
    with pytest.raises(UnreadableMessageError, match="names series 1 of 1"):
        list(samples_of(foreign))
