"""Real engines, built on the CPU by the code that robots build with, kept and refused as theirs are.

TensorRT for RTX builds for GPUs that are not here. Running an engine takes a GPU, so none is run.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edge_bridge.backends.engine_cache import EngineCache
from edge_bridge.backends.model_feed import ModelFeed
from fleetward.engines.building import Built, Hooks, build_engine
from fleetward.engines.errors import BuildCancelledError, EngineBuildError
from fleetward.engines.listening import Step
from fleetward.engines.onnx_face import onnx_face
from fleetward.engines.recipe import EngineKey, Platform, Recipe
from model_registry.preflight_run import COMPUTE_CAPABILITY, INSTALL
from tests.integration.edge_slots.tiny_models import (
    brightness,
    counting_audio,
    digest_of,
    with_external_data,
)

RELEASES = Path(__file__).parents[3] / ".fleetward" / "releases"

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason=f"TensorRT is not installed: {INSTALL}",
)


def recipe_of(model: bytes) -> Recipe:
    """As the robot's backend makes it."""
    face = onnx_face(model)
    feed = ModelFeed(face.inputs, [port.name for port in face.outputs], face.metadata)
    return Recipe(shapes=feed.ranges(), compute_capability=COMPUTE_CAPABILITY)


def built(model: bytes, hooks: Hooks | None = None) -> Built:
    import tensorrt_rtx_bindings as trt

    return build_engine(trt, model, recipe_of(model), hooks=hooks)


@pytest.mark.parametrize("kind", ["picture", "audio", "detector"])
def test_models_of_robots_build_with_progress_and_twice_into_the_same_bytes(
    tmp_path: Path, kind: str
) -> None:
    path = {
        "picture": lambda: brightness(tmp_path, "v1").path,
        "audio": lambda: counting_audio(tmp_path, "v1", step=2).path,
        "detector": lambda: RELEASES / "v1.onnx",
    }[kind]()
    steps: list[Step] = []
    model = path.read_bytes()
    first, second = built(model, Hooks(report=steps.append)), built(model)

    assert first.engine == second.engine
    assert {step.phase for step in steps} >= {"Building engine"}
    assert all(1 <= step.step <= step.steps for step in steps)


def test_a_build_is_stopped_at_its_next_step(tmp_path: Path) -> None:
    model = (RELEASES / "v1.onnx").read_bytes()
    steps: list[Step] = []
    with pytest.raises(BuildCancelledError):
        built(model, Hooks(report=steps.append, cancelled=lambda: len(steps) >= 5))
    assert len(steps) == 5


@pytest.mark.parametrize(
    ("name", "reason"), [("v3.onnx", "UNSUPPORTED_NODE"), ("external", "parse")]
)
def test_what_tensorrt_cannot_build_is_refused_with_its_reason(
    tmp_path: Path, name: str, reason: str
) -> None:
    made = with_external_data(tmp_path, "v1").path if name == "external" else RELEASES / name
    with pytest.raises(EngineBuildError, match=reason):
        built(made.read_bytes())


def test_a_dla_core_that_is_not_here_is_refused(tmp_path: Path) -> None:
    import tensorrt_rtx_bindings as trt

    model = brightness(tmp_path, "v1").path.read_bytes()
    with pytest.raises(EngineBuildError, match="offers 0 here"):
        build_engine(trt, model, Recipe(dla_core=0, compute_capability=COMPUTE_CAPABILITY))


def test_a_real_engine_that_was_altered_is_refused_and_built_again(tmp_path: Path) -> None:
    import tensorrt_rtx_bindings as trt

    path = RELEASES / "v1.onnx"
    model = path.read_bytes()
    platform = Platform(
        tensorrt=f"tensorrt_rtx {trt.__version__}",
        cuda_runtime=0,
        driver="",
        gpu="",
        compute_capability=COMPUTE_CAPABILITY,
        multiprocessors=0,
    )
    key = EngineKey(model=digest_of(path), recipe=recipe_of(model), platform=platform)
    cache = EngineCache(tmp_path / "engines")
    engine = built(model).engine
    assert cache.keep_engine(key, engine) == ""
    assert bytes(cache.engine(key).content or b"") == engine

    (kept,) = (tmp_path / "engines").glob("*.engine")
    altered = bytearray(kept.read_bytes())
    altered[len(altered) // 2] ^= 1
    kept.write_bytes(altered)
    held = cache.engine(key)
    assert held.content is None
    assert "its seal does not match" in held.refused
    assert not kept.exists()
    cache.keep_engine(key, built(model).engine)
    assert bytes(cache.engine(key).content or b"") == engine
