"""A safetensors file tells where its tensors lie, and one that contradicts itself is refused."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetward.delivery.errors import LayoutError
from fleetward.delivery.layout import layout_of
from fleetward.delivery.manifest import TensorSpan
from fleetward.delivery.safetensors_layout import (
    MAX_HEADER_BYTES,
    safetensors_metadata,
    safetensors_tensors,
)
from tests.unit.delivery.model_files import Tensor, entry, safetensors, saved, tensors, with_header


def test_every_tensor_lies_where_the_layout_says(tmp_path: Path) -> None:
    held = tensors(5, 3000)
    content = safetensors(held)

    layout = layout_of(saved(content, tmp_path / "m"))

    assert (layout.file_format, layout.size_bytes) == ("safetensors", len(content))
    assert [span.name for span in layout.tensors] == [tensor.name for tensor in held]
    for span, tensor in zip(layout.tensors, held, strict=True):
        assert content[span.start : span.start + span.length] == tensor.content
        assert (span.element_type, span.shape) == ("U8", (3000,))


def test_tensors_are_told_in_the_order_of_the_file_not_of_the_header() -> None:
    header = {"b": entry("U8", [2], 2, 4), "a": entry("F16", [1], 0, 2)}
    content = with_header(json.dumps(header).encode(), b"aabb")

    assert [span.name for span in spans_of(content)] == ["a", "b"]


def test_an_empty_tensor_takes_no_bytes() -> None:
    held = [Tensor("a", b"aa"), Tensor("nothing", b""), Tensor("b", b"bb")]

    assert [span.length for span in spans_of(safetensors(held))] == [2, 0, 2]


def test_metadata_is_read() -> None:
    content = safetensors(tensors(1, 8), {"licence": "MIT"})

    assert safetensors_metadata(io.BytesIO(content)) == {"licence": "MIT"}
    assert safetensors_metadata(io.BytesIO(safetensors(tensors(1, 8)))) == {}


def spans_of(content: bytes) -> tuple[TensorSpan, ...]:
    return safetensors_tensors(io.BytesIO(content), len(content))


def of_two(first: dict[str, object], second: dict[str, object]) -> bytes:
    """A file of two tensors, with 8 bytes of content."""
    return with_header(json.dumps({"a": first, "b": second}).encode(), bytes(8))


GOOD = entry("U8", [4], 0, 4)

HOSTILE = {
    "overlapping": of_two(GOOD, entry("U8", [6], 2, 8)),
    "the same bytes twice": of_two(GOOD, GOOD),
    "a hole": of_two(GOOD, entry("U8", [3], 5, 8)),
    "negative start": of_two(GOOD, entry("U8", [8], -4, 4)),
    "negative length": of_two(GOOD, entry("U8", [4], 8, 4)),
    "an offset of 2^63": of_two(GOOD, entry("U8", [4], 2**63, 2**63 + 4)),
    "an offset past 2^64": of_two(GOOD, entry("U8", [4], 2**70, 2**70 + 4)),
    "a dimension of 2^63": of_two(GOOD, entry("U8", [2**63, 0], 4, 4)),
    "a negative dimension": of_two(GOOD, entry("U8", [-2, -2], 4, 8)),
    "10^5 dimensions": of_two(GOOD, entry("U8", [1] * 100_000, 4, 5)),
    "another shape": of_two(GOOD, entry("U8", [5], 4, 8)),
    "an unknown type": of_two(GOOD, entry("PICKLE", [4], 4, 8)),
    "bytes after the last tensor": of_two(GOOD, entry("U8", [3], 4, 7)),
    "bytes missing": of_two(GOOD, entry("U8", [9], 4, 13)),
    "more fields": of_two(GOOD, {**entry("U8", [4], 4, 8), "code": "import os"}),
    "no JSON": with_header(b"{" * 100, b""),
    "deep nesting": with_header(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b""),
    "half a header": safetensors(tensors(2, 4))[:40] + bytes(200),
    "10^6 tensors": with_header(
        b"{"
        + b",".join(
            b'"%d":{"dtype":"U8","shape":[],"data_offsets":[0,1]}' % n for n in range(10**6)
        )
        + b"}",
        b"\0",
    ),
    "a header of 33 MiB": with_header(b"{" + b" " * (MAX_HEADER_BYTES + 1024) + b"}", b""),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_file_that_contradicts_itself_is_refused_soon(content: bytes, tmp_path: Path) -> None:
    path = saved(content, tmp_path / "hostile")
    started = time.process_time()

    with pytest.raises(LayoutError):
        layout_of(path)

    assert time.process_time() - started < 5.0


@pytest.mark.parametrize("claimed", [0, 1, 10**9, 2**63, 2**64 - 1])
def test_a_header_that_cannot_be_there_makes_no_safetensors_of_a_file(
    claimed: int, tmp_path: Path
) -> None:
    content = with_header(b"", b"[]" * 20, claimed)

    assert layout_of(saved(content, tmp_path / "m")).file_format == "opaque"


@given(st.binary(max_size=300), st.data())
def test_no_header_breaks_the_parser(header: bytes, data: st.DataObject) -> None:
    whole = with_header(b"{" + header, bytes(16))
    content = whole[: data.draw(st.integers(9 + len(header), len(whole)))]
    try:
        spans = safetensors_tensors(io.BytesIO(content), len(content))
    except LayoutError:
        return
    assert all(0 <= span.start <= span.start + span.length <= len(content) for span in spans)


_WHOLE = safetensors(tensors(3, 20), {"licence": "MIT"})


@given(st.integers(9, len(_WHOLE) - 61), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_gives_spans_inside_the_file(at: int, byte: int) -> None:
    content = bytearray(_WHOLE)
    content[at] = byte
    try:
        spans = safetensors_tensors(io.BytesIO(content), len(content))
    except LayoutError:
        return
    ends = [0, *(span.start + span.length for span in spans)]
    starts = [*(span.start for span in spans), len(content)]
    assert all(end <= start for end, start in zip(ends, starts, strict=True))
