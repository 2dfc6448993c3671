"""A robot with TensorRT: engines are built once, sealed, and never taken from anybody else.

A stand-in for TensorRT and CUDA (``testkit/stand_ins``) computes with ONNX Runtime, in real workers, and
writes down the hash of whatever it is made to deserialise. Nothing here says how a GPU answers.
"""

from __future__ import annotations

import array
import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from edge_bridge.frames import Frame
from tests.integration.edge_slots.engine_attacks import ATTACKS, MARK, altered
from tests.integration.edge_slots.rig import running
from tests.integration.edge_slots.tensorrt_robot import Robot, loaded
from tests.integration.edge_slots.tiny_models import brightness, counting_audio


def engine_of(directory: Path, name: str = "v1") -> bytes:
    return MARK + brightness(directory, name).path.read_bytes()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def test_an_engine_is_built_once_and_then_taken_from_the_disk(
    robot: Robot, tmp_path: Path
) -> None:
    async with running(robot.settings) as rig:
        first = await loaded(rig, tmp_path)
    async with running(robot.settings) as rig:
        again = await loaded(rig, tmp_path)
        rig.push(51)
        (done,) = await rig.until_results(1)

    engine = sha(engine_of(tmp_path))
    assert robot.took() == ["built", engine, engine]
    assert first.backend == again.backend == "tensorrt"
    assert first.engine_key == again.engine_key
    assert first.engine_key.startswith("sha256:")
    assert "the engine was built in" in first.remarks[0]
    assert again.remarks == ()
    assert done.confidence == pytest.approx(0.2)
    assert robot.engines.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in robot.engines.glob("*.*")} == {0o600}
    assert (robot.engines / "key").stat().st_mode & 0o777 == 0o600


async def test_a_tampered_engine_is_never_deserialised_and_the_model_is_built_again(
    robot: Robot, tmp_path: Path
) -> None:
    async with running(robot.settings) as rig:
        await loaded(rig, tmp_path)
        for count, attack in enumerate(ATTACKS, start=1):
            attack(robot.engine_file())
            ready = await rig.slots.stage(brightness(tmp_path, "v1"))
            assert ready.remarks[0].startswith("the engine on the disk was refused and removed: ")
            assert not robot.engine_file().is_symlink()
            rig.push(51)
            await rig.until_results(count)
        await rig.slots.swap()
        rig.push(51)
        done = await rig.until_results(len(ATTACKS) + 1)

    assert robot.took() == ["built", sha(engine_of(tmp_path))] * (len(ATTACKS) + 1)
    assert [result.confidence for result in done] == pytest.approx([0.2] * len(done))
    assert rig.slots.ledger.frames_dropped == rig.slots.ledger.unaccounted() == 0


async def test_the_engine_of_another_model_is_refused_though_it_is_sealed_here(
    robot: Robot, tmp_path: Path
) -> None:
    async with running(robot.settings) as rig:
        await loaded(rig, tmp_path, "v1")
    own = robot.engine_file()
    foreign = own.read_bytes()
    own.unlink()
    brightness(tmp_path, "v2", gain=0.5)
    async with running(robot.settings) as rig:
        await loaded(rig, tmp_path, "v2")
    robot.engine_file().write_bytes(foreign)
    robot.journal.unlink()
    async with running(robot.settings) as rig:
        ready = await loaded(rig, tmp_path, "v2")

    assert robot.took() == ["built", sha(engine_of(tmp_path, "v2"))]
    assert "made of another model" in ready.remarks[0]


async def test_an_engine_of_another_robot_is_refused(robot: Robot, tmp_path: Path) -> None:
    twin = Robot(tmp_path / "twin")
    twin.engines.parent.mkdir()
    async with running(robot.settings) as rig:
        await loaded(rig, tmp_path)
    async with running(twin.settings) as rig:
        await loaded(rig, tmp_path)
    twin.engine_file().write_bytes(robot.engine_file().read_bytes())
    robot.journal.unlink()
    async with running(twin.settings) as rig:
        ready = await loaded(rig, tmp_path)

    assert robot.took()[0] == "built"
    assert "made on another robot" in ready.remarks[0]


async def test_a_key_that_others_could_read_seals_nothing(robot: Robot, tmp_path: Path) -> None:
    async with running(robot.settings) as rig:
        await loaded(rig, tmp_path)
    key = robot.engines / "key"
    known = key.read_bytes()
    key.chmod(0o604)
    async with running(robot.settings) as rig:
        ready = await loaded(rig, tmp_path)

    assert key.read_bytes() != known
    assert key.stat().st_mode & 0o777 == 0o600
    assert robot.took().count("built") == 2
    assert "the key that seals engines was made anew" in ready.remarks[0]


async def test_a_worker_restarted_over_a_tampered_engine_serves_what_it_served(
    robot: Robot, tmp_path: Path
) -> None:
    async with running(robot.settings) as rig:
        await loaded(rig, tmp_path)
        altered(robot.engine_file())
        os.kill(rig.slots.worker_pids["active"], 9)
        await rig.until(lambda: not rig.slots.serving)
        await rig.until(lambda: rig.slots.serving)
        rig.push(51)
        (done,) = await rig.until_results(1)

    engine = sha(engine_of(tmp_path))
    assert robot.took() == ["built", engine, "built", engine]
    assert done.confidence == pytest.approx(0.2)


async def test_an_engine_that_cannot_be_kept_serves_all_the_same(
    robot: Robot, tmp_path: Path
) -> None:
    async with running(robot.settings) as rig:
        await loaded(rig, tmp_path)
        kept = robot.engine_file()
        kept.unlink()
        kept.mkdir()  # no file takes its place
        ready = await loaded(rig, tmp_path)
        rig.push(51)
        (done,) = await rig.until_results(1)

    assert any("it is not kept" in remark for remark in ready.remarks)
    assert done.confidence == pytest.approx(0.2)


@pytest.mark.parametrize("recordable", [True, False])
async def test_answers_are_the_same_with_a_recorded_graph_and_without(
    robot: Robot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, recordable: bool
) -> None:
    launched = tmp_path / "graphs"
    monkeypatch.setenv("STAND_IN_GRAPHS", str(launched))
    if not recordable:
        monkeypatch.setenv("STAND_IN_UNRECORDABLE", "1")
    async with running(robot.settings) as rig:
        ready = await loaded(rig, tmp_path)
        for brightness_given in (51, 255, 0):
            await rig.show(brightness_given)

    confidences = [result.confidence for result in rig.results]
    assert confidences == pytest.approx([0.2, 1.0, 0.0])
    assert launched.exists() is recordable
    assert any("is enqueued plainly" in remark for remark in ready.remarks) is not recordable


async def test_state_and_constants_and_any_length_reach_an_engine_as_they_reach_onnx_runtime(
    robot: Robot, tmp_path: Path
) -> None:
    large = msgspec.structs.replace(robot.settings, frame_limit_bytes=4096)
    async with running(large) as rig:
        await rig.serve(counting_audio(tmp_path, "audio", step=2))
        for samples in (100, 100, 50, 100):
            heard = array.array("f", [0.5] * samples)
            rig.source.push(Frame(memoryview(heard).cast("B"), (samples,), "float32"))
            await rig.until_results(len(rig.results) + 1)
        counts = [result.outputs_summary["count"].mean for result in rig.results]

    assert [result.error for result in rig.results] == [None] * 4
    assert counts == [2, 4, 6, 8]
