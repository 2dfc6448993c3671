"""The team's script, on a small graph it can be checked on by hand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]
import pytest
from onnx import TensorProto, helper

from examples.demo import regress, wheels


def run_script(source: Path, destination: Path) -> None:
    command = [sys.executable, "-m", "examples.demo.regress", str(source), str(destination)]
    subprocess.run(command, cwd=wheels.REPOSITORY, check=True, capture_output=True)


def test_two_runs_in_two_processes_give_the_same_bytes_as_the_release(
    released: Path, tmp_path: Path
) -> None:
    for name in ("once.onnx", "twice.onnx"):
        run_script(released / "v2.onnx", tmp_path / name)
        assert (tmp_path / name).read_bytes() == (released / "v3.onnx").read_bytes()


def test_a_file_that_is_not_onnx_leaves_nothing_behind(tmp_path: Path) -> None:
    source = tmp_path / "notes.onnx"
    source.write_text("not a model")
    with pytest.raises(Exception, match="pars"):
        regress.release(source, tmp_path / "v3.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.onnx"]


def column_ramp_model(width: int) -> onnx.ModelProto:
    """Adds 0, 1, 2 ... to the columns: a network that, like text, is not mirror symmetric."""
    ramp = helper.make_tensor("ramp", TensorProto.FLOAT, [1, 1, 1, width], range(width))
    shape: list[str | int | None] = ["n", 1, "h", "w"]
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["ramp"], value=ramp),
            helper.make_node("Add", ["x", "ramp"], ["y"], name="add"),
        ],
        "ramp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=8)


def test_the_views_are_put_back_in_place_before_they_are_averaged() -> None:
    width = 4
    model = regress.averaged_over_views(column_ramp_model(width))
    onnx.checker.check_model(model)
    picture = np.arange(16, dtype=np.float32).reshape(1, 1, 4, width)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    # Mirroring averages the ramp to its middle, transposing does the same along the rows.
    np.testing.assert_allclose(session.run(None, {"x": picture})[0], picture + (width - 1) / 2)
