"""The delta file holds what was written, and nothing hostile gets past its header."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetward.contracts.ids import Digest
from fleetward.delivery.delta import (
    MAX_HEADER_BYTES,
    MAX_SEGMENT_BYTES,
    Adapter,
    Copy,
    Delta,
    DeltaHeader,
    FromChunks,
    Intdiff,
    Literal,
    Placed,
    Recipe,
    decode_delta,
    encode_header,
    header_length,
)
from fleetward.delivery.errors import DeltaError

BASE = Digest("sha256:" + "a" * 64)
TARGET = Digest("sha256:" + "b" * 64)
HEADER = DeltaHeader(
    base=BASE,
    base_size_bytes=1000,
    target=TARGET,
    target_size_bytes=800,
    adapters=(Adapter("F16", "F32", 10, 20, 2, 0.5, 99),),
    segments=(
        Copy(200, 8),
        FromChunks(100),
        Literal(100, 4, 100),
        Intdiff(200, 800, 2, 17),
        Recipe(200, 0, 0, 5, 3),
    ),
)
PAYLOAD_BYTES = 99 + 100 + 17 + 3


def decoded(header: DeltaHeader) -> Delta:
    content = encode_header(header)
    payload_bytes = sum(one.payload_bytes for one in (*header.adapters, *header.segments))
    return decode_delta(content, len(content) + payload_bytes)


def test_a_header_comes_back_as_it_was_written() -> None:
    assert decoded(HEADER).header == HEADER


def test_places_follow_from_lengths() -> None:
    delta = decoded(HEADER)
    first = delta.header_bytes
    assert delta.adapter_starts() == [first]
    assert list(delta.placed()) == [
        Placed(HEADER.segments[0], 0, first + 99),
        Placed(HEADER.segments[1], 200, first + 99),
        Placed(HEADER.segments[2], 300, first + 99),
        Placed(HEADER.segments[3], 400, first + 199),
        Placed(HEADER.segments[4], 600, first + 216),
    ]


def test_what_moves_is_header_payloads_and_chunks() -> None:
    delta = decoded(HEADER)
    assert delta.fetch_bytes == delta.header_bytes + PAYLOAD_BYTES + 100


def hostile(change: Callable[[dict[str, Any]], None]) -> bytes:
    """The header's JSON after ``change``, well framed."""
    content = encode_header(HEADER)
    fields = json.loads(content[12:])
    change(fields)
    text = json.dumps(fields, separators=(",", ":")).encode()
    return struct.pack("<4sII", b"FWDL", 1, len(text)) + text


def segment(*fields: object) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header["segments"] = [list(fields), *header["segments"][1:]]

    return change


def field(name: str, value: object) -> Callable[[dict[str, Any]], None]:
    return lambda header: header.update({name: value})


def adapter(index: int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        header["adapters"][0][index] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        segment("copy", 200, -1),
        segment("copy", 200, 801),
        segment("copy", 200, 2**63),
        segment("copy", 200, 2**200),
        segment("copy", -200, 0),
        segment("copy", 0, 0),
        segment("copy", 2**63, 0),
        segment("copy", 199, 0),
        segment("copy", MAX_SEGMENT_BYTES + 1, 0),
        segment("chunk", -200),
        segment("literal", 200, 3, 5),
        segment("literal", 200, 0, 5),
        segment("literal", 200, 4, 0),
        segment("literal", 200, 4, 201),
        segment("literal", 200, 4, -1),
        segment("intdiff", 200, 2**63, 4, 5),
        segment("intdiff", 200, 0, 16, 5),
        segment("recipe", 200, 0, 1, 0, 5),
        segment("recipe", 200, 0, -1, 0, 5),
        segment("recipe", 200, 0, 0, 6, 5),
        segment("recipe", 200, 0, 0, -1, 5),
        segment("recipe", 200, 0, 0, 2**63, 5),
        segment("exec", 200, 0),
        segment("copy", 200, 0, 7),
        segment("copy", 200.0, 0),
        field("target_size_bytes", 2**63),
        field("target_size_bytes", -800),
        field("base_size_bytes", 0),
        field("base", "sha256:../../etc/passwd"),
        field("target", ""),
        field("segments", []),
        field("surprise", 1),
        adapter(0, "F64"),
        adapter(1, "pickle"),
        adapter(2, 0),
        adapter(2, 2**63),
        adapter(3, -20),
        adapter(4, 2**40),
        adapter(5, None),
        adapter(6, 0),
        adapter(6, 2**63),
    ],
)
def test_a_hostile_header_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    content = hostile(change)
    for payload_bytes in (PAYLOAD_BYTES, 0, 2**63):
        with pytest.raises(DeltaError):
            decode_delta(content, len(content) + payload_bytes)


def test_a_second_spelling_of_the_same_header_is_refused() -> None:
    content = encode_header(HEADER)
    text = content[12:].replace(b'"base":', b' "base":')
    spaced = struct.pack("<4sII", b"FWDL", 1, len(text)) + text
    with pytest.raises(DeltaError, match="canonical"):
        decode_delta(spaced, len(spaced) + PAYLOAD_BYTES)


@pytest.mark.parametrize("size_bytes", [0, 12, PAYLOAD_BYTES, 2**63])
def test_a_file_of_another_size_than_its_header_says_is_refused(size_bytes: int) -> None:
    with pytest.raises(DeltaError):
        decode_delta(encode_header(HEADER), size_bytes)


@pytest.mark.parametrize(
    "prefix",
    [
        b"",
        b"FWDL\x01",
        b"FWCM" + struct.pack("<II", 1, 10),
        b"FWDL" + struct.pack("<II", 2, 10),
        b"FWDL" + struct.pack("<II", 1, 0),
        b"FWDL" + struct.pack("<II", 1, MAX_HEADER_BYTES + 1),
    ],
)
def test_a_foreign_beginning_is_refused(prefix: bytes) -> None:
    with pytest.raises(DeltaError):
        header_length(prefix)


@given(cut=st.integers(0, len(encode_header(HEADER)) - 1))
def test_a_cut_off_header_is_refused(cut: int) -> None:
    content = encode_header(HEADER)
    with pytest.raises(DeltaError):
        decode_delta(content[:cut], len(content) + PAYLOAD_BYTES)


@given(at=st.integers(0, len(encode_header(HEADER)) - 1), value=st.integers(0, 255))
def test_a_changed_byte_is_refused_or_still_a_sound_header(at: int, value: int) -> None:
    content = bytearray(encode_header(HEADER))
    content[at] = value
    try:
        delta = decode_delta(bytes(content), len(content) + PAYLOAD_BYTES)
    except DeltaError:
        return
    made = sum(one.length for one in delta.header.segments)
    assert made == delta.header.target_size_bytes
