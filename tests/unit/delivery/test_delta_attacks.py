"""Attacks through a delta: each is refused, or gives bytes that the chunks' hashes then refuse."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetward.contracts.ids import Digest
from fleetward.delivery.apply import Applier, load_adapter, make_segment
from fleetward.delivery.delta import (
    MAX_ADAPTER_BYTES,
    MAX_RANK,
    MAX_SEGMENT_BYTES,
    Adapter,
    Copy,
    Delta,
    DeltaHeader,
    FromChunks,
    Intdiff,
    Literal,
    Recipe,
    Segment,
    decode_delta,
    encode_header,
)
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.intdiff import encode_difference

BASE, TARGET = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
MEBIBYTE = 1 << 20


def delta_of(segments: Iterable[Segment], adapters: Iterable[Adapter] = ()) -> Delta:
    made, helpers = tuple(segments), tuple(adapters)
    header = DeltaHeader(
        base=BASE,
        base_size_bytes=64 * MEBIBYTE,
        target=TARGET,
        target_size_bytes=sum(segment.length for segment in made),
        adapters=helpers,
        segments=made,
    )
    content = encode_header(header)
    payload_bytes = sum(one.payload_bytes for one in (*made, *helpers))
    return decode_delta(content, len(content) + payload_bytes)


def a_bomb(length: int) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(bytes(length))


@pytest.mark.parametrize("make", [Literal, lambda length, *rest: Intdiff(length, 0, *rest)])
def test_a_bomb_in_a_payload_is_refused_before_it_takes_memory(make: type[Literal]) -> None:
    bomb = a_bomb(1 << 30)
    segment = make(MAX_SEGMENT_BYTES, 2, len(bomb))
    base = bytes(MAX_SEGMENT_BYTES)
    tracemalloc.start()
    try:
        with pytest.raises(DeltaError):
            make_segment(segment, base, bomb)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * MEBIBYTE


def test_a_bomb_in_an_adapter_is_refused() -> None:
    bomb = a_bomb(1 << 30)
    with pytest.raises(DeltaError):
        load_adapter(Adapter("F16", "F32", 1000, 1000, 16, 1.0, len(bomb)), bomb)


def test_the_largest_adapter_is_merged_in_bounded_memory_and_time() -> None:
    side = MAX_ADAPTER_BYTES // 4 // MAX_RANK // 2
    payload = a_bomb(2 * side * MAX_RANK * 4)
    adapter = Adapter("F16", "F32", side, side, MAX_RANK, 1.0, len(payload))
    rows = MAX_SEGMENT_BYTES // adapter.row_bytes
    tracemalloc.start()
    began = time.process_time()
    try:
        loaded = load_adapter(adapter, payload)
        segment = Recipe(rows * adapter.row_bytes, 0, 0, 0, 0)
        make_segment(segment, bytes(segment.length), b"", loaded)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 8 * MAX_ADAPTER_BYTES
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("segment", "base", "payload"),
    [
        (Copy(8, 0), bytes(7), b""),
        (Copy(8, 0), bytes(8), b"x"),
        (Intdiff(8, 0, 2, 30), bytes(8), bytes(30)),
        (Intdiff(8, 0, 2, 8), bytes(9), bytes(8)),
        (Literal(8, 1, 9), b"", bytes(9)),
        (FromChunks(8), b"", b""),
    ],
)
def test_bytes_of_another_length_than_the_header_says_are_refused(
    segment: Segment, base: bytes, payload: bytes
) -> None:
    with pytest.raises(DeltaError):
        make_segment(segment, base, payload)


def test_a_delta_on_the_wrong_base_gives_other_bytes_of_the_same_length() -> None:
    base, target, wrong = bytes(range(8)), bytes(range(1, 9)), bytes(range(2, 10))
    payload = encode_difference(target, base, 1)
    segment = Intdiff(8, 0, 1, len(payload))
    assert bytes(make_segment(segment, base, payload)) == target
    made = bytes(make_segment(segment, wrong, payload))
    assert made != target
    assert len(made) == 8


SEGMENTS = st.lists(
    st.builds(Copy, st.integers(1, 64), st.integers(0, 900))
    | st.builds(
        lambda count, payload: Literal(8 * count, 8, payload), st.integers(1, 8), st.integers(1, 8)
    )
    | st.builds(
        lambda count, start, payload: Intdiff(4 * count, start, 4, payload),
        st.integers(4, 16),
        st.integers(0, 900),
        st.integers(1, 16),
    )
    | st.builds(
        lambda rows, start, payload: Recipe(4 * rows, start, 0, 0, payload),
        st.integers(1, 8),
        st.integers(0, 900),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=200, deadline=None)
@given(SEGMENTS, st.binary(min_size=600, max_size=600), st.integers(1, 36))
def test_random_payloads_are_refused_or_make_just_the_length_asked_for(
    segments: list[Segment], content: bytes, adapter_bytes: int
) -> None:
    adapter = Adapter("F16", "F16", 8, 2, 1, 1.0, min(adapter_bytes, 20))
    delta = delta_of(segments, [adapter])
    base = bytes(range(256)) * 4

    def read(start: int, length: int) -> bytes:
        at = start - delta.header_bytes
        assert at >= 0
        assert at + length <= delta.payload_bytes
        return content[at : at + length]

    applier = Applier(
        delta,
        read_base=lambda start, length: base[start : start + length],
        read_delta=read,
        read_chunks=lambda start, length: bytes(length),
    )
    for placed in delta.placed():
        try:
            made = applier.bytes_of(placed)
        except DeltaError:
            continue
        assert len(made) == placed.segment.length


def test_half_a_million_segments_are_read_in_seconds() -> None:
    began = time.process_time()
    delta = delta_of([Copy(1, 0)] * 500_000)
    assert len(delta.header.segments) == 500_000
    assert time.process_time() - began < 10
    with pytest.raises(DeltaError, match="more than"):
        delta_of([Copy(1, 0)] * 500_001)
