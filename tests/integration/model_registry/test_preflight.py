"""A model is really run, and where TensorRT is installed really built, before robots download it."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

import msgspec
import pytest
from onnx import ModelProto, TensorProto, helper

from model_registry.preflight import LIMITS
from model_registry.preflight_run import INSTALL, Verdict
from model_registry.sandbox import NoAnswer, SandboxLimits, answer_of
from tests.integration.model_registry import graphs

REGISTRY = Path(__file__).parents[3] / "services" / "model_registry"
HAS_TENSORRT = importlib.util.find_spec("tensorrt_rtx_bindings") is not None


def of_nodes(*nodes: tuple[str, list[str], list[str]], shape: list[int | str]) -> ModelProto:
    """A graph from x to y, both of one shape."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node(*node) for node in nodes], "g", ends[:1], ends[1:])
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = min(model.ir_version, 10)
    return model


async def verdict(model: ModelProto, tmp_path: Path) -> Verdict:
    path = graphs.saved(model, tmp_path / "model.onnx")
    answer = await answer_of("model_registry.preflight_run", path, LIMITS)
    assert isinstance(answer, bytes), answer
    return msgspec.msgpack.decode(answer, type=Verdict)


async def test_a_good_model_runs_and_builds(tmp_path: Path) -> None:
    ran = await verdict(graphs.good_model(), tmp_path)

    assert ran.passed, ran.reason
    assert ran.inference_ms > 0
    assert ("tensorrt_rtx" in ran.tools) is HAS_TENSORRT
    assert ("tensorrt_rtx" in ran.skipped) is not HAS_TENSORRT


@pytest.mark.skipif(not HAS_TENSORRT, reason=f"TensorRT is not installed: {INSTALL}")
async def test_tensorrt_refuses_what_it_cannot_build_and_names_the_operator(tmp_path: Path) -> None:
    ran = await verdict(of_nodes(("Unique", ["x"], ["y"]), shape=[4]), tmp_path)

    assert not ran.passed
    assert ran.reason.startswith("TensorRT does not parse it")
    assert "Unique" in ran.reason
    assert "UNSUPPORTED_NODE" in ran.reason


@pytest.mark.skipif(not HAS_TENSORRT, reason=f"TensorRT is not installed: {INSTALL}")
async def test_tensorrt_builds_for_free_dimensions(tmp_path: Path) -> None:
    model = of_nodes(("Relu", ["x"], ["y"]), shape=["batch", 3, "height", "width"])
    ran = await verdict(model, tmp_path)

    assert ran.passed, ran.reason
    assert "tensorrt_rtx" in ran.tools


@pytest.mark.skipif(HAS_TENSORRT, reason="TensorRT is installed")
async def test_without_tensorrt_the_preflight_says_how_to_get_it(tmp_path: Path) -> None:
    ran = await verdict(graphs.good_model(), tmp_path)

    assert INSTALL in ran.skipped["tensorrt_rtx"]


def test_the_extra_of_the_registry_is_what_the_preflight_names() -> None:
    project = tomllib.loads((REGISTRY / "pyproject.toml").read_text())
    wanted = project["project"]["optional-dependencies"]["tensorrt"]
    assert f"pip install {' '.join(wanted)}" == INSTALL


async def test_free_dimensions_are_tried_until_one_runs(tmp_path: Path) -> None:
    model = of_nodes(("Relu", ["x"], ["y"]), shape=["batch", 3, "height", "width"])
    assert (await verdict(model, tmp_path)).passed


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (of_nodes(("Nonsense", ["x"], ["y"]), shape=[4]), "does not load it"),
        (of_nodes(("MatMul", ["x", "x"], ["y"]), shape=[3, 4]), "ONNX Runtime does not"),
        (
            of_nodes(("Neg", ["x"], ["n"]), ("Sqrt", ["n"], ["y"]), shape=[4]),
            "y is not a number",
        ),
    ],
    ids=["unknown operator", "shapes that do not fit", "not a number"],
)
async def test_a_model_that_does_not_run_says_why(
    model: ModelProto, reason: str, tmp_path: Path
) -> None:
    ran = await verdict(model, tmp_path)
    assert not ran.passed
    assert reason in ran.reason


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (SandboxLimits(memory_bytes=64 * 1024**2, cpu_s=60, wall_s=60.0), "ended with code"),
        (SandboxLimits(memory_bytes=12 * 1024**3, cpu_s=60, wall_s=0.05), "took longer than"),
    ],
    ids=["memory", "time"],
)
async def test_a_try_beyond_its_limits_ends_alone(
    limits: SandboxLimits, reason: str, tmp_path: Path
) -> None:
    path = graphs.saved(graphs.good_model(), tmp_path / "model.onnx")
    answer = await answer_of("model_registry.preflight_run", path, limits)
    assert isinstance(answer, NoAnswer)
    assert reason in answer.reason
