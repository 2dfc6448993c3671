"""An engine that one robot built runs on its twins: under their own key, from builders they trust, or not.

On stand-ins for TensorRT and CUDA (``testkit/stand_ins``) in real workers; nothing here ran on a GPU.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from edge_bridge.backends.engine_settings import ANYBODY, TwinSettings
from edge_bridge.backends.sealed import sealed
from edge_bridge.workers.protocol import Offered, Ready
from edge_bridge.workers.slot_settings import SlotSettings
from fleetward.contracts.ids import RobotId
from tests.integration.edge_slots.engine_attacks import MARK
from tests.integration.edge_slots.rig import running
from tests.integration.edge_slots.tensorrt_robot import Robot, loaded
from tests.integration.edge_slots.test_tensorrt_backend import engine_of, sha

BUILDER, TAKER = RobotId("canary-1"), RobotId("arm-7")


class Courier:
    """Carries the builder's file to whoever asks, as it finds it."""

    def __init__(self, source: Path, says: RobotId = BUILDER) -> None:
        self._source = source
        self._says = says
        self.asked: list[str] = []
        self.loads = 0

    async def find(self, engine: str) -> Offered:
        self.asked.append(engine)
        offers = sorted(self._source.glob("*.offer"))
        if not offers:
            return Offered()
        copy = self._source / "carried"
        await asyncio.to_thread(shutil.copy, offers[0], copy)
        return Offered(path=str(copy), builder=self._says)

    def loaded(self) -> None:
        self.loads += 1


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "twins.key"
    path.write_bytes(os.urandom(32))
    path.chmod(0o600)
    return path


def settings(
    robot: Robot, robot_id: RobotId, key: Path, builders: tuple[str, ...] = ()
) -> SlotSettings:
    twins = TwinSettings(robot_id=robot_id, key=str(key), builders=builders)
    engines = msgspec.structs.replace(robot.settings.engines, twins=twins)
    return msgspec.structs.replace(robot.settings, engines=engines)


async def built(robot: Robot, tmp_path: Path, key: Path) -> Ready:
    """The canary builds, and leaves what it built."""
    async with running(settings(robot, BUILDER, key)) as rig:
        return await loaded(rig, tmp_path)


def another(robot: Robot, tmp_path: Path) -> Robot:
    """Of the same hardware: its TensorRT writes into the same journal."""
    twin = Robot(tmp_path / "twin")
    twin.journal = robot.journal
    return twin


async def taken(
    twin: Robot, tmp_path: Path, key: Path, courier: Courier, builders: tuple[str, ...]
) -> Ready:
    async with running(settings(twin, TAKER, key, builders), twins=courier) as rig:
        ready = await loaded(rig, tmp_path)
        rig.push(51)
        (done,) = await rig.until_results(1)
    assert done.confidence == pytest.approx(0.2)
    return ready


@pytest.mark.parametrize("builders", [(BUILDER,), (ANYBODY,)])
async def test_what_a_trusted_twin_built_is_taken_and_kept_under_the_robots_own_seal(
    robot: Robot, tmp_path: Path, key: Path, builders: tuple[str, ...]
) -> None:
    first = await built(robot, tmp_path, key)
    twin, courier = another(robot, tmp_path), Courier(robot.engines)
    second = await taken(twin, tmp_path, key, courier, builders)
    again = await taken(twin, tmp_path, key, courier, builders)

    assert courier.asked == [first.engine_key], "the second time its own disk has it"
    assert second.engine_key == first.engine_key
    assert second.remarks[0] == f"the engine is one that {BUILDER} built"
    assert again.remarks == ()
    engine = sha(engine_of(tmp_path))
    assert robot.took() == ["built", engine, engine, engine]
    assert (twin.engines / "key").read_bytes() != (robot.engines / "key").read_bytes()
    assert not (robot.engines / "carried").exists(), "what was carried here is read once"


async def test_a_robot_that_names_no_builder_offers_and_takes_nothing(
    robot: Robot, tmp_path: Path, key: Path
) -> None:
    await built(robot, tmp_path, key)
    twin, courier = another(robot, tmp_path), Courier(robot.engines)
    await taken(twin, tmp_path, key, courier, ())

    assert courier.asked == []
    assert robot.took().count("built") == 2
    assert len(list(twin.engines.glob("*.offer"))) == 1


async def test_an_engine_of_one_who_is_not_trusted_here_is_not_deserialised(
    robot: Robot, tmp_path: Path, key: Path
) -> None:
    await built(robot, tmp_path, key)
    twin = another(robot, tmp_path)
    ready = await taken(twin, tmp_path, key, Courier(robot.engines), ("canary-2",))

    assert "its builder is not among those trusted here" in ready.remarks[0]
    assert robot.took().count("built") == 2


async def test_whoever_carries_an_engine_cannot_say_that_another_robot_built_it(
    robot: Robot, tmp_path: Path, key: Path
) -> None:
    await built(robot, tmp_path, key)
    twin, liar = another(robot, tmp_path), Courier(robot.engines, says=RobotId("canary-2"))
    ready = await taken(twin, tmp_path, key, liar, ("canary-2",))

    assert ready.remarks[0].startswith("the engine that canary-2 offers was refused: ")
    assert robot.took().count("built") == 2


async def test_an_engine_that_was_not_sealed_by_a_twin_is_never_deserialised(
    robot: Robot, tmp_path: Path, key: Path
) -> None:
    await built(robot, tmp_path, key)
    (offer,) = robot.engines.glob("*.offer")
    honest = offer.read_bytes()
    label = honest[44 : 44 + int.from_bytes(honest[40:44], "big")]
    evil = MARK + b"evil"
    attacks = {
        "altered": honest[:-1] + bytes([honest[-1] ^ 1]),
        "cut off": honest[: len(honest) // 2],
        "empty": b"",
        "of another key": sealed(bytes(32), label, evil),
        "bare": evil,
    }
    for name, content in attacks.items():
        offer.write_bytes(content)
        twin = another(robot, tmp_path / name)
        ready = await taken(twin, tmp_path, key, Courier(robot.engines), (ANYBODY,))
        assert ready.remarks[0].startswith(f"the engine that {BUILDER} offers was refused: "), name
        assert "the engine was built in" in ready.remarks[1], name
    assert sha(evil) not in robot.took()


async def test_a_twins_key_that_others_could_read_shares_nothing(
    robot: Robot, tmp_path: Path, key: Path
) -> None:
    key.chmod(0o644)
    ready = await built(robot, tmp_path, key)

    assert any("others could use it (mode 0644" in remark for remark in ready.remarks)
    assert list(robot.engines.glob("*.offer")) == []
