"""Each tensor's fate and cost follow from the delta, and the costs add up to what moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fleetward.delivery.compare import BETWEEN, Fate, TensorChange, compare
from fleetward.delivery.delta_file import write_delta
from fleetward.delivery.delta_plan import plan_chunks
from tests.unit.delivery.safetensors_files import (
    Tensor,
    random_tensor,
    side,
    write_safetensors,
)


def a_tensor(seed: int, shape: tuple[int, ...] = (300, 100)) -> Tensor:
    return random_tensor(np.random.default_rng(seed), "F16", shape)


def compared(
    folder: Path, before: dict[str, Tensor], after: dict[str, Tensor]
) -> tuple[dict[str, TensorChange], int]:
    base = side(write_safetensors(folder / "base.safetensors", before))
    target = side(write_safetensors(folder / "target.safetensors", after))
    delta = write_delta(base, target, folder / "delta").delta
    changes = compare(base.tensors, target.tensors, delta.header.segments, target.size_bytes)
    return {change.name: change for change in changes}, delta.fetch_bytes - delta.header_bytes


def flipped(tensor: Tensor) -> Tensor:
    element_type, shape, content = tensor
    return element_type, shape, bytes([content[0] ^ 1]) + content[1:]


def test_every_fate_is_told(tmp_path: Path) -> None:
    before = {"a": a_tensor(1), "b": a_tensor(2), "c": a_tensor(3), "d": a_tensor(4)}
    after = {
        "a": before["a"],
        "b": flipped(before["b"]),
        "e": before["c"],
        "f": a_tensor(5, (5, 9000)),
    }
    changes, moved_bytes = compared(tmp_path, before, after)
    assert {name: change.fate for name, change in changes.items()} == {
        "a": Fate.MOVED,  # the header before it changed its length
        "b": Fate.CHANGED,
        "d": Fate.REMOVED,
        "e": Fate.MOVED,
        "f": Fate.ADDED,
        BETWEEN: Fate.CHANGED,
    }
    assert changes["b"].by == ("intdiff",)
    assert changes["f"].by == ("literal",)
    assert sum(change.cost_bytes for change in changes.values()) == moved_bytes


def test_nothing_changed_and_nothing_costs(tmp_path: Path) -> None:
    same = {
        "zeros": ("F16", (50_000,), bytes(100_000)),
        "ones": a_tensor(1),
        "more zeros": ("F16", (50_000,), bytes(100_000)),
    }
    changes, moved_bytes = compared(tmp_path, same, same)
    assert {change.fate for change in changes.values()} == {Fate.UNCHANGED}
    assert moved_bytes == 0


def test_by_chunks_alone_a_change_costs_its_chunks(tmp_path: Path) -> None:
    before = {"a": a_tensor(1, (2000, 1000)), "b": a_tensor(2, (2000, 1000))}
    after = {**before, "b": flipped(before["b"])}
    base = side(write_safetensors(tmp_path / "base.safetensors", before))
    target = side(write_safetensors(tmp_path / "target.safetensors", after))
    segments = list(plan_chunks(base, target))
    changes = {
        one.name: one for one in compare(base.tensors, target.tensors, segments, target.size_bytes)
    }
    assert (changes["a"].fate, changes["a"].cost_bytes) == (Fate.UNCHANGED, 0)
    assert (changes["b"].fate, changes["b"].cost_bytes) == (Fate.CHANGED, 1024 * 1024)


def test_names_that_were_counted_out_are_matched_by_what_they_name(tmp_path: Path) -> None:
    shapes = [(9, 9), (300, 100), (9, 9), (200, 100)]
    tensors = [a_tensor(seed, shape) for seed, shape in enumerate(shapes)]
    before = {f"onnx::MatMul_{10 + index}": tensor for index, tensor in enumerate(tensors)}
    tensors[1] = flipped(tensors[1])
    after = {f"onnx::MatMul_{11 + index}": tensor for index, tensor in enumerate(tensors)}
    changes, _ = compared(tmp_path, before, after)
    fates = {name: change.fate for name, change in changes.items() if name != BETWEEN}
    assert fates == {
        "onnx::MatMul_11": Fate.MOVED,
        "onnx::MatMul_12": Fate.CHANGED,
        "onnx::MatMul_13": Fate.MOVED,
        "onnx::MatMul_14": Fate.MOVED,
    }
    assert changes["onnx::MatMul_12"].by == ("intdiff",)
