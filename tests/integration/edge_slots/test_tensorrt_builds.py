"""Which runtime serves, and how its engine is built: DLA, limits, timing, and what it cannot build.

With stand-ins for TensorRT and CUDA, in real workers. Nothing here says how a GPU answers.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from edge_bridge.errors import LoadFailedError
from tests.integration.edge_slots.rig import running
from tests.integration.edge_slots.tensorrt_robot import Robot, loaded, settings
from tests.integration.edge_slots.tiny_models import brightness, counting_audio, staged

STEPS_OF_A_BUILD = 3
"""Of the stand-in, which adds a byte to its timing cache in each."""


async def test_a_dla_core_is_used_where_it_is_and_what_it_cannot_run_is_counted(
    robot: Robot, tmp_path: Path
) -> None:
    remarks, keys = [], set()
    for core in (None, 0, 1):
        engines = msgspec.structs.replace(robot.settings.engines, dla_core=core)
        own = msgspec.structs.replace(robot.settings, backend="auto", engines=engines)
        async with running(own) as rig:
            ready = await loaded(rig, tmp_path)
        remarks.append(" ".join(ready.remarks))
        keys.add((ready.backend, ready.engine_key))

    assert "DLA" not in remarks[0]
    assert "DLA core 0 can run 1 of 2 layers" in remarks[1]
    assert "DLA core 1 was asked for" in remarks[2]
    assert len(keys) == 3
    assert ("onnxruntime", "") in keys


async def test_what_a_build_measured_serves_the_next(robot: Robot, tmp_path: Path) -> None:
    sizes: list[int] = []
    async with running(robot.settings) as rig:
        for name in ("v1", "v2"):
            brightness(tmp_path, name, gain=len(sizes) + 1)
            await rig.slots.stage(staged(tmp_path / f"{name}.onnx"))
            (timing,) = robot.engines.glob("*.timing")
            sizes.append(timing.stat().st_size)

    assert sizes[1] == sizes[0] + STEPS_OF_A_BUILD


async def test_auto_takes_tensorrt_and_a_model_it_cannot_parse_goes_to_onnx_runtime(
    robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_REFUSES", "gain")
    auto = settings(robot.engines, "auto")
    async with running(auto) as rig:
        ready = await loaded(rig, tmp_path)
        audio = await rig.slots.stage(counting_audio(tmp_path, "audio", step=1))

    assert (ready.backend, ready.engine_key) == ("onnxruntime", "")
    assert "tensorrt does not serve it" in ready.remarks[0]
    assert "UNSUPPORTED_NODE" in ready.remarks[0]
    assert audio.backend == "tensorrt"


@pytest.mark.parametrize("backend", ["auto", "tensorrt", "onnxruntime-cuda"])
async def test_without_a_gpu_auto_serves_on_the_processor_and_all_else_says_what_is_missing(
    robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv("STAND_IN_GPUS", "0")
    async with running(settings(robot.engines, backend)) as rig:
        if backend == "auto":
            ready = await loaded(rig, tmp_path)
            assert ready.backend == "onnxruntime"
            assert "cudaErrorNoDevice" in ready.remarks[0]
            return
        with pytest.raises(LoadFailedError, match="set FLEETWARD_BACKEND=onnxruntime"):
            await loaded(rig, tmp_path)


async def test_a_build_beyond_its_limit_is_given_up_and_what_it_measured_is_kept(
    robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_BUILD_STEPS", "1000000")
    hasty = msgspec.structs.replace(robot.settings.engines, build_limit_s=0.05)
    async with running(msgspec.structs.replace(robot.settings, engines=hasty)) as rig:
        with pytest.raises(LoadFailedError, match=r"no engine was built within 0\.05 s"):
            await loaded(rig, tmp_path)

    assert len(list(robot.engines.glob("*.timing"))) == 1
    assert robot.took() == []
