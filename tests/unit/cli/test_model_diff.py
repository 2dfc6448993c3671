"""``fleetward model diff`` says of two files what changed and what that moves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fleetward.cli.__main__ import app
from fleetward.cli.exits import Exit
from fleetward.cli.model_diff import MAX_SHOWN
from tests.unit.delivery.safetensors_files import random_tensor, write_safetensors


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(1)
    backbone, head = (random_tensor(random, "F16", (800, 500)) for _ in range(2))
    retrained = random_tensor(random, "F16", (800, 500))
    before = write_safetensors(tmp_path / "before", {"backbone": backbone, "head": head})
    after = write_safetensors(tmp_path / "after", {"backbone": backbone, "head": retrained})
    return [str(before), str(after)]


def test_what_changed_is_told_with_its_cost(files: list[str]) -> None:
    result = CliRunner().invoke(app, ["model", "diff", *files])
    assert result.exit_code == Exit.OK, result.output
    assert "head" in result.output
    assert "backbone" not in result.output
    assert "1 unchanged, 1 changed" in result.output


def test_machines_get_every_tensor(files: list[str]) -> None:
    result = CliRunner().invoke(app, ["model", "diff", "--json", *files])
    found = json.loads(result.output)
    fates = {change["name"]: change["fate"] for change in found["changes"]}
    assert fates == {"backbone": "unchanged", "head": "changed", "(between tensors)": "unchanged"}
    costs = sum(change["cost_bytes"] for change in found["changes"])
    assert costs == found["delta_bytes"] < found["plain_bytes"] < found["target_bytes"]


def test_a_file_that_is_missing_is_named(files: list[str]) -> None:
    result = CliRunner().invoke(app, ["model", "diff", files[0], "nowhere.onnx"])
    assert result.exit_code == Exit.USAGE
    assert "nowhere.onnx" in result.output


def test_a_file_that_contradicts_itself_is_refused(files: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(Path(files[0]).read_bytes()[:-1])
    result = CliRunner().invoke(app, ["model", "diff", files[0], str(broken)])
    assert result.exit_code == Exit.FAILED


def test_the_summary_comes_first_and_of_many_changes_the_dearest_are_shown(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    sizes = {f"t{number:02}": (100 + number, 100) for number in range(MAX_SHOWN + 5)}
    files = [
        str(
            write_safetensors(
                tmp_path / name,
                {tensor: random_tensor(random, "F16", shape) for tensor, shape in sizes.items()},
            )
        )
        for name in ("before", "after")
    ]
    few = CliRunner().invoke(app, ["model", "diff", *files]).output.splitlines()
    every = CliRunner().invoke(app, ["model", "diff", "--all", *files]).output.splitlines()

    assert few[0] == every[0]
    assert few[0].startswith("25 changed. An update moves ")
    assert [line.split()[0] for line in few[2:-1]] == [f"t{n:02}" for n in range(24, 4, -1)]
    assert few[-1].startswith("and 5 further tensors for which ")
    assert {line.split()[0] for line in every} >= set(sizes)
