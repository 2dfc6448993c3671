"""Differences are exact for any bit pattern, and no payload takes more memory than it makes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fleetward.delivery.errors import DeltaError
from fleetward.delivery.frames import decompress_into, decompressor
from fleetward.delivery.intdiff import (
    decode_difference,
    decode_literal,
    element_bytes_of,
    encode_difference,
    encode_literal,
)
from fleetward.delivery.planes import BLOCK_ELEMENTS, Scratch

WIDTHS = st.sampled_from([1, 2, 4, 8])


@st.composite
def two_contents(draw: st.DrawFn) -> tuple[bytes, bytes, int]:
    width, count = draw(WIDTHS), draw(st.integers(1, 50))
    size = width * count
    content = st.binary(min_size=size, max_size=size)
    return draw(content), draw(content), width


@given(two_contents())
def test_any_bytes_come_back_from_any_base(case: tuple[bytes, bytes, int]) -> None:
    target, base, width = case
    assert bytes(decode_difference(encode_difference(target, base, width), base, width)) == target


@given(two_contents())
def test_any_bytes_come_back_from_no_base(case: tuple[bytes, bytes, int]) -> None:
    target, _, width = case
    payload = encode_literal(target, width)
    assert len(payload) <= len(target)
    assert bytes(decode_literal(payload, len(target), width)) == target


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_more_than_one_block_comes_back(width: int) -> None:
    random = np.random.default_rng(width)
    count = 2 * BLOCK_ELEMENTS + 3
    base, target = random.bytes(count * width), random.bytes(count * width)
    assert bytes(decode_difference(encode_difference(target, base, width), base, width)) == target
    exponents = bytes(count * width)
    payload = encode_literal(exponents, width)
    assert len(payload) < 100
    assert bytes(decode_literal(payload, count * width, width)) == exponents


def test_numbers_that_are_not_numbers_are_bit_patterns_like_any() -> None:
    strange = np.array([np.nan, -np.nan, np.inf, -np.inf, -0.0, 5e-324], "<f8").tobytes()
    payload = encode_difference(strange, bytes(48), 8)
    assert bytes(decode_difference(payload, bytes(48), 8)) == strange


@pytest.mark.parametrize(
    ("element_type", "length", "width"),
    [
        ("BF16", 8, 2),
        ("F64", 8, 8),
        ("F16", 7, 1),
        ("I4", 8, 1),
        ("unheard of", 8, 1),
        ("C128", 16, 1),
    ],
)
def test_elements_are_as_wide_as_their_type_where_that_divides(
    element_type: str, length: int, width: int
) -> None:
    assert element_bytes_of(element_type, length) == width


def bomb(length: int) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(bytes(length))


def unsized(length: int) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_content_size=False).compress(bytes(length))


def lying(stated: int, held: int) -> bytes:
    """A frame that states one size and holds another."""
    frame = bytearray(zstandard.ZstdCompressor(level=1).compress(bytes(held)))
    honest = zstandard.frame_header_size(bytes(frame))
    other = zstandard.ZstdCompressor(level=1).compress(bytes(stated))
    return other[: zstandard.frame_header_size(other)] + bytes(frame[honest:])


@pytest.mark.parametrize(
    "payload",
    [
        bomb(1 << 28),
        unsized(1 << 28),
        unsized(4095),
        lying(4096, 1 << 27),
        lying(4096, 4095),
        bomb(4096) + bomb(4096),
        bomb(4096) + b"more",
        bomb(4096)[:-1],
        bomb(4095),
        b"",
        b"\x28\xb5\x2f\xfd",
        b"no zstd at all",
    ],
)
def test_a_bomb_or_a_broken_frame_is_refused_in_little_memory(payload: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DeltaError):
            decompress_into(payload, memoryview(bytearray(4096)), decompressor())
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1 << 20


def test_a_literal_longer_than_its_result_is_refused() -> None:
    with pytest.raises(DeltaError):
        decode_literal(bytes(9), 8, 1)


@given(st.binary(max_size=200), st.integers(1, 64))
def test_random_payloads_are_refused_or_make_the_length_asked_for(
    payload: bytes, count: int
) -> None:
    try:
        made = decode_difference(payload, bytes(2 * count), 2)
    except DeltaError:
        return
    assert len(made) == 2 * count


def test_memory_that_is_used_again_gives_the_same_bytes() -> None:
    scratch = Scratch()
    for width, count in [(2, 1000), (4, 3), (1, 5000), (8, 10)]:
        random = np.random.default_rng(width)
        base, target = random.bytes(width * count), random.bytes(width * count)
        payload = encode_difference(target, base, width)
        assert bytes(decode_difference(payload, base, width, scratch)) == target
        zeros = encode_literal(bytes(9999 * width), width)
        assert bytes(decode_literal(zeros, 9999 * width, width, scratch)) == bytes(9999 * width)
