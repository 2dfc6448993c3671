"""A merged adapter is one residual away from its tensor, with the same bits on every machine."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetward.delivery.adapters import LowRank, pairs_by_tensor, read_adapter
from fleetward.delivery.apply import load_adapter, make_segment
from fleetward.delivery.delta import Adapter, Copy, Intdiff, Recipe
from fleetward.delivery.delta_file import WrittenDelta, write_delta
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.floats import Floats, floats_of, rounded
from fleetward.delivery.manifest import TensorSpan
from fleetward.delivery.recipe import factors_of, merged
from tests.unit.delivery.safetensors_files import (
    Tensor,
    applied,
    random_tensor,
    side,
    tensor,
    write_safetensors,
)

ROWS, COLUMNS, RANK = 600, 256, 4


def factors(seed: int = 3) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    left = random.standard_normal((ROWS, RANK), dtype=np.float32) * np.float32(0.02)
    right = random.standard_normal((RANK, COLUMNS), dtype=np.float32) * np.float32(0.02)
    return left, right


def as_trainers_merge(weights: Tensor, left: Floats, right: Floats, scale: float) -> Tensor:
    """``W + scale * (B @ A)`` in fp32, by whatever order the matrix library takes."""
    element_type, shape, content = weights
    numbers = floats_of(content, element_type).reshape(shape)
    summed = numbers + (left @ right) * np.float32(scale)
    return element_type, shape, bytes(rounded(summed, element_type))


def lora_file(path: Path, module: str, left: Floats, right: Floats) -> Path:
    halves = {
        f"base_model.model.{module}.lora_A.weight": tensor(right, "F32"),
        f"base_model.model.{module}.lora_B.weight": tensor(left, "F32"),
    }
    return write_safetensors(path, halves)


def published(folder: Path, element_type: str, *, transposed: bool = False) -> WrittenDelta:
    """The delta of a merge of one of two tensors; it was applied and gave exactly that."""
    left, right = factors()
    random = np.random.default_rng(1)
    weights = random_tensor(random, element_type, (ROWS, COLUMNS))
    before = {"q.weight": weights, "norm": random_tensor(random, element_type, (5000,))}
    changed = as_trainers_merge(weights, left, right, 2.0)
    if transposed:
        before["q.weight"], changed = turned(weights), turned(changed)
    base = write_safetensors(folder / "base.safetensors", before)
    target = write_safetensors(folder / "target.safetensors", {**before, "q.weight": changed})
    pairs = read_adapter(lora_file(folder / "lora.safetensors", "q", left, right), 2.0)
    written = write_delta(side(base), side(target), folder / "delta", pairs)
    assert applied(written, folder / "delta", base, target) == target.read_bytes()
    return written


def turned(weights: Tensor) -> Tensor:
    element_type, shape, content = weights
    numbers = np.frombuffer(content, "<f4" if element_type == "F32" else "<u2").reshape(shape)
    return element_type, shape[::-1], numbers.T.tobytes()


@pytest.mark.parametrize("element_type", ["F16", "BF16"])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_merge_costs_its_adapter(tmp_path: Path, element_type: str, transposed: bool) -> None:
    written = published(tmp_path, element_type, transposed=transposed)
    segments = written.delta.header.segments
    assert {type(segment) for segment in segments} == {Recipe, Copy}
    assert written.delta.payload_bytes < 4 * RANK * (ROWS + COLUMNS) * 1.05


def test_a_merge_in_fp32_is_exact_too(tmp_path: Path) -> None:
    assert Recipe in {type(segment) for segment in published(tmp_path, "F32").delta.header.segments}


def test_an_adapter_that_was_not_merged_is_not_shipped(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    weights = random_tensor(random, "F16", (ROWS, COLUMNS))
    bits = np.frombuffer(weights[2], "<u2") + random.integers(-3, 4, ROWS * COLUMNS)
    base = write_safetensors(tmp_path / "base", {"q.weight": weights})
    nudged = ("F16", (ROWS, COLUMNS), bits.astype("<u2").tobytes())
    target = write_safetensors(tmp_path / "target", {"q.weight": nudged})
    pairs = read_adapter(lora_file(tmp_path / "lora.safetensors", "q", *factors()), 50.0)
    written = write_delta(side(base), side(target), tmp_path / "delta", pairs)
    assert written.delta.header.adapters == ()
    assert Intdiff in {type(segment) for segment in written.delta.header.segments}


def an_adapter(rank: int, rows: int, columns: int, scale: float = 1.0) -> Adapter:
    return Adapter("F32", "F32", rows, columns, rank, scale, rank * (rows + columns) * 4)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 256), st.integers(0, 2**32), st.floats(1e-20, 1e15))
def test_sums_are_exact_so_no_order_can_change_a_bit(rank: int, seed: int, largest: float) -> None:
    random = np.random.default_rng(seed)
    numbers = (random.standard_normal(rank * 5, dtype=np.float32) * largest).astype(np.float32)
    made = factors_of(an_adapter(rank, 2, 3), numbers.tobytes())
    exact = [
        [
            sum(
                Fraction(float(made.left[i, k])) * Fraction(float(made.right[k, j]))
                for k in range(rank)
            )
            for j in range(3)
        ]
        for i in range(2)
    ]
    assert [[Fraction(float(one)) for one in row] for row in made.left @ made.right] == exact


def test_every_row_is_merged_alike_in_any_piece() -> None:
    left, right = factors()
    adapter = Adapter("F16", "F32", ROWS, COLUMNS, RANK, 1.0, 1)
    ready = factors_of(adapter, left.tobytes() + right.tobytes())
    base = random_tensor(np.random.default_rng(1), "F16", (ROWS, COLUMNS))[2]
    whole = bytes(merged(base, adapter, ready, 0))
    row_bytes = adapter.row_bytes
    parts = [
        bytes(merged(base[row * row_bytes : (row + 100) * row_bytes], adapter, ready, row))
        for row in range(0, ROWS, 100)
    ]
    assert b"".join(parts) == whole


@pytest.mark.parametrize("element_type", ["F16", "BF16", "F32"])
def test_numbers_survive_being_read_and_rounded(element_type: str) -> None:
    width = 4 if element_type == "F32" else 2
    bits = np.arange(0, 2**16, dtype=f"<u{width}") << (8 * (width - 2))
    content = bits.tobytes()
    numbers = floats_of(content, element_type)
    finite = np.isfinite(numbers)
    back = np.frombuffer(rounded(numbers[finite], element_type), f"<u{width}")
    assert (back == bits[finite]).all()


def test_bf16_rounds_to_the_nearest_and_ties_to_even() -> None:
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF], "<u4")
    rounded_bits = np.frombuffer(rounded(bits.view("<f4"), "BF16"), "<u2")
    assert rounded_bits.tolist() == [0x3F80, 0x3F82, 0x3F81, 0x3F80, 0x7F80]


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_an_adapter_or_a_base_that_is_not_finite_is_refused(strange: float) -> None:
    adapter = an_adapter(1, 2, 2)
    with pytest.raises(DeltaError, match="finite"):
        factors_of(adapter, np.array([1, 2, strange, 4], "<f4").tobytes())
    sound = factors_of(adapter, np.ones(4, "<f4").tobytes())
    with pytest.raises(DeltaError, match="finite"):
        merged(np.array([1, strange], "<f4").tobytes(), adapter, sound, 0)


def test_a_recipe_without_its_adapter_is_refused() -> None:
    with pytest.raises(DeltaError, match="adapter 0"):
        make_segment(Recipe(8, 0, 0, 0, 0), bytes(8), b"")


def test_an_adapter_of_another_length_is_refused() -> None:
    with pytest.raises(DeltaError):
        load_adapter(an_adapter(1, 2, 2), bytes(15))


def test_a_file_without_pairs_is_no_adapter(tmp_path: Path) -> None:
    path = write_safetensors(tmp_path / "x.safetensors", {"w": ("F32", (1,), bytes(4))})
    with pytest.raises(DeltaError, match="lora_A"):
        read_adapter(path, 1.0)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(DeltaError, match="PEFT"):
        read_adapter(path, 1.0)


@pytest.mark.parametrize(
    ("name", "shape", "is_found"),
    [
        ("layers.0.q_proj.weight", (4, 6), True),
        ("model.layers.0.q_proj.weight", (4, 6), True),
        ("layers.0.q_proj", (6, 4), True),
        ("layers.0.q_proj.weight", (4, 4), False),
        ("layers.1.q_proj.weight", (4, 6), False),
    ],
)
def test_pairs_find_their_tensor_by_name_and_shape(
    name: str, shape: tuple[int, ...], is_found: bool
) -> None:
    pair = LowRank(np.ones((4, 2), np.float32), np.ones((2, 6), np.float32), "F32", 1.0)
    span = TensorSpan(name, "F16", shape, 0, 48)
    found = pairs_by_tensor([span], {"base_model.model.model.layers.0.q_proj": pair})
    assert bool(found) is is_found
    if found:
        assert (len(found[name].left), found[name].right.shape[1]) == shape
