"""A delta that is planned and applied gives the target, for any two files, for few bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetward.delivery.delta import Copy, FromChunks, Intdiff, Literal, Recipe
from fleetward.delivery.delta_file import WrittenDelta, write_delta
from fleetward.delivery.delta_plan import plain_bytes
from tests.unit.delivery.safetensors_files import (
    Tensor,
    applied,
    random_tensor,
    side,
    write_safetensors,
)

Model = dict[str, Tensor]
TYPES = ("F32", "F16", "BF16", "I8", "I64")


def updated(
    folder: Path, before: Model, after: Model, metadata: Mapping[str, str] | None = None
) -> WrittenDelta:
    """The delta from ``before`` to ``after``, which was applied and gave exactly that."""
    base = write_safetensors(folder / "base.safetensors", before)
    target = write_safetensors(folder / "target.safetensors", after, metadata)
    written = write_delta(side(base), side(target), folder / "delta")
    assert applied(written, folder / "delta", base, target) == target.read_bytes()
    return written


def kinds(written: WrittenDelta) -> set[type]:
    return {type(segment) for segment in written.delta.header.segments}


def a_model(seed: int = 1, element_type: str = "F16") -> Model:
    random = np.random.default_rng(seed)
    shapes = {"embed": (3000, 256), "up": (512, 512), "norm": (512,), "down": (512, 512)}
    return {name: random_tensor(random, element_type, shape) for name, shape in shapes.items()}


def nudged(tensor: Tensor, standard_deviation: float, seed: int = 2) -> Tensor:
    element_type, shape, content = tensor
    noise = np.random.default_rng(seed).standard_normal(len(content) // 2) * standard_deviation
    weights = np.frombuffer(content, "<f2") + noise
    return element_type, shape, weights.astype("<f2").tobytes()


def test_a_small_change_of_every_weight_costs_a_quarter(tmp_path: Path) -> None:
    before = a_model()
    after = {name: nudged(tensor, 1e-5) for name, tensor in before.items()}
    written = updated(tmp_path, before, after)
    assert Intdiff in kinds(written)
    assert written.delta.fetch_bytes < 0.25 * written.delta.header.target_size_bytes


def test_a_longer_header_costs_nearly_nothing(tmp_path: Path) -> None:
    written = updated(tmp_path, a_model(), a_model(), {"step": "1" * 40})
    assert written.delta.fetch_bytes < 1500


def test_an_inserted_tensor_costs_itself_and_less(tmp_path: Path) -> None:
    before = a_model()
    added = random_tensor(np.random.default_rng(9), "F16", (700, 512))
    names = iter(before.items())
    after = dict([next(names), ("adapter", added), *names])
    written = updated(tmp_path, before, after)
    assert written.delta.fetch_bytes < len(added[2]) * 0.9
    assert Literal in kinds(written)


def test_renamed_tensors_cost_their_names(tmp_path: Path) -> None:
    before = a_model()
    after = {f"module.{name}": tensor for name, tensor in before.items()}
    assert updated(tmp_path, before, after).delta.fetch_bytes < 1500


def test_a_renamed_and_trained_tensor_is_still_a_difference(tmp_path: Path) -> None:
    before = a_model()
    after = {f"module.{name}": nudged(tensor, 1e-5) for name, tensor in before.items()}
    written = updated(tmp_path, before, after)
    assert written.delta.fetch_bytes < 0.3 * written.delta.header.target_size_bytes


def test_a_tensor_that_grew_by_rows_keeps_its_first_rows(tmp_path: Path) -> None:
    before = a_model()
    more = random_tensor(np.random.default_rng(5), "F16", (10, 256))
    after = {**before, "embed": ("F16", (3010, 256), before["embed"][2] + more[2])}
    assert updated(tmp_path, before, after).delta.fetch_bytes < 10_000


def test_incompressible_new_bytes_come_from_chunks(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    before: Model = {"table": ("I8", (3 << 20,), random.bytes(3 << 20))}
    after: Model = {"table": ("I8", (3 << 20,), random.bytes(3 << 20))}
    written = updated(tmp_path, before, after)
    assert FromChunks in kinds(written)
    assert written.delta.payload_bytes < 2000


def test_files_without_any_structure_share_their_chunks(tmp_path: Path) -> None:
    content = np.random.default_rng(4).bytes(2 << 20)
    base, target = tmp_path / "base.bin", tmp_path / "target.bin"
    base.write_bytes(content)
    target.write_bytes(b"inserted" + content)
    written = write_delta(side(base), side(target), tmp_path / "delta")
    assert applied(written, tmp_path / "delta", base, target) == target.read_bytes()
    assert written.delta.fetch_bytes < 300_000
    assert written.delta.fetch_bytes <= plain_bytes(side(base), side(target)) + 1000


def test_the_same_file_again_is_only_copied(tmp_path: Path) -> None:
    assert kinds(updated(tmp_path, a_model(), a_model())) == {Copy}


SHAPES = st.lists(st.integers(0, 40), min_size=1, max_size=3).map(tuple)
CHANGES = st.sampled_from(["keep", "nudge", "replace", "remove", "rename", "retype", "grow"])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Model, Model, dict[str, str]]:
    """A model and another that was made from it by random changes."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    before: Model = {}
    after: Model = {}
    for number in range(draw(st.integers(0, 6))):
        name, element_type, shape = f"t{number}", draw(st.sampled_from(TYPES)), draw(SHAPES)
        tensor = random_tensor(random, element_type, shape)
        before[name] = tensor
        change = draw(CHANGES)
        if change in ("keep", "nudge"):
            content = bytearray(tensor[2])
            if change == "nudge" and content:
                content[random.integers(len(content))] ^= 1 << int(random.integers(8))
            after[name] = (element_type, shape, bytes(content))
        elif change == "rename":
            after[f"renamed.{name}"] = tensor
        elif change == "retype":
            after[name] = random_tensor(random, draw(st.sampled_from(TYPES)), shape)
        elif change == "grow":
            grown = (shape[0] + 1, *shape[1:])
            after[name] = random_tensor(random, element_type, grown)
        elif change == "replace":
            after[name] = random_tensor(random, element_type, shape)
    order = draw(st.permutations(list(after)))
    return before, {name: after[name] for name in order}, draw(st.just({}) | st.just({"a": "b"}))


@settings(max_examples=150, deadline=None)
@given(pairs())
def test_any_update_gives_exactly_the_target(update: tuple[Model, Model, dict[str, str]]) -> None:
    before, after, metadata = update
    with TemporaryDirectory() as folder:
        written = updated(Path(folder), before, after, metadata)
        assert written.size_bytes == written.delta.header_bytes + written.delta.payload_bytes


@pytest.mark.parametrize("element_type", TYPES)
def test_every_element_type_survives(tmp_path: Path, element_type: str) -> None:
    before, after = a_model(1, element_type), a_model(2, element_type)
    after["down"] = before["down"]
    assert Recipe not in kinds(updated(tmp_path, before, after))
