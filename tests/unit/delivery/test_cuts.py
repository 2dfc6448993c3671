"""Files are cut at tensors, and what changes in one place leaves the chunks elsewhere as they are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetward.delivery.cuts import MAX_MERGED_BYTES, MERGE_BELOW_BYTES, stretches
from fleetward.delivery.layout import Layout
from fleetward.delivery.manifest import MAX_CHUNK_BYTES, TensorSpan
from tests.unit.delivery.model_files import (
    Tensor,
    chunked,
    new_bytes,
    onnx_model,
    safetensors,
    tensors,
)

MIB = 1024 * 1024


def layout(sizes_bytes: list[int], gap_bytes: int = 0, header_bytes: int = 500) -> Layout:
    """Tensors of these sizes after a header, with gaps between."""
    spans, start = [], header_bytes
    for index, size in enumerate(sizes_bytes):
        spans.append(TensorSpan(f"layer.{index}.weight", "U8", (size,), start, size))
        start += size + gap_bytes
    return Layout("safetensors", start + 100, tuple(spans))


def test_large_tensors_are_cut_at_their_starts_and_ends() -> None:
    cut = list(stretches(layout([3 * MIB, 20_000, MIB], gap_bytes=60)))

    assert [(part.length, part.by_content) for part in cut] == [
        *[(500, True), (3 * MIB, False), (60, False), (20_000, False), (60, False), (MIB, False)],
        (160, True),
    ]


def test_small_neighbours_share_a_chunk() -> None:
    cut = list(stretches(layout([4000] * 3 + [MIB] + [4000] * 3, gap_bytes=60)))

    assert [part.length for part in cut] == [500, 3 * 4060, MIB, 3 * 4060, 160]


@given(
    st.lists(st.integers(0, 200_000), max_size=200),
    st.sampled_from([0, 60, MERGE_BELOW_BYTES + 1]),
    st.integers(0, 100_000),
)
def test_stretches_cover_the_file_in_order_and_are_few(
    sizes_bytes: list[int], gap_bytes: int, header_bytes: int
) -> None:
    held = layout(sizes_bytes, gap_bytes, header_bytes)
    position = 0
    for part in stretches(held):
        assert part.start == position
        assert part.length > 0
        position += part.length
    assert position == held.size_bytes
    assert len(list(stretches(held))) <= held.size_bytes // (MERGE_BELOW_BYTES // 2) + 3


def test_many_tiny_tensors_make_few_chunks() -> None:
    cut = list(stretches(layout([40] * 200_000)))

    assert len(cut) < 8_000_000 // MERGE_BELOW_BYTES + 3
    assert max(part.length for part in cut) <= MAX_MERGED_BYTES


def test_tiny_tensors_fall_into_step_after_one_was_inserted(tmp_path: Path) -> None:
    held = tensors(5000, 200)
    before = chunked(safetensors(held), tmp_path / "a")
    changed = [*held[:1000], Tensor("inserted", b"i" * 1000), *held[1000:]]

    after = chunked(safetensors(changed), tmp_path / "b")

    header = after.layout.tensors[0].start
    assert new_bytes(before, after) - header < 3 * MAX_MERGED_BYTES // 2


@pytest.mark.parametrize("form", ["safetensors", "onnx"])
def test_an_inserted_tensor_costs_itself_and_the_header(form: str, tmp_path: Path) -> None:
    held = tensors(12, 2 * MIB + 77)
    inserted = [*held[:4], *tensors(1, MIB, seed=2), *held[4:]]
    contents = [
        safetensors(each) if form == "safetensors" else onnx_model(each).SerializeToString()
        for each in (held, inserted)
    ]
    before, after = (chunked(content, tmp_path / form) for content in contents)

    assert new_bytes(before, after) < MIB + 4000


def test_a_renamed_export_with_a_node_more_moves_next_to_nothing(tmp_path: Path) -> None:
    held = tensors(12, MIB + 5)
    renamed = [Tensor(f"onnx::MatMul_{n}", tensor.content) for n, tensor in enumerate(held)]

    before = chunked(onnx_model(held, nodes=4000).SerializeToString(), tmp_path / "a")
    after = chunked(onnx_model(renamed, nodes=4001).SerializeToString(), tmp_path / "b")

    assert new_bytes(before, after) < 0.01 * before.layout.size_bytes


def test_opaque_bytes_are_cut_by_their_content(tmp_path: Path) -> None:
    content = random.Random(5).randbytes(3 * MIB)
    before = chunked(content, tmp_path / "a")
    after = chunked(b"in front" + content[:MIB] + b"in the middle" + content[MIB:], tmp_path / "b")

    assert before.layout.file_format == "opaque"
    assert new_bytes(before, after) < MIB
    assert max(chunk.length for chunk in before.chunks) <= MAX_CHUNK_BYTES
