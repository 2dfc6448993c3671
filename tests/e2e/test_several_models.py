"""Two models on robots of a whole real system: rolled out beside each other, taken back alone, and as one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct
from msgspec.structs import replace

from examples.demo import releases, wheels
from fleetward.bus.last_values import last_value
from fleetward.bus.stored_rollouts import read_rollout
from fleetward.client.fleet import Fleet
from fleetward.contracts.robots import ActivationFailed
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy, RolloutState, Strategy
from fleetward.local.programs import Settings, fleet
from fleetward.local.up import local_system
from testkit import forked
from testkit.command_line import run
from tests.faults.conftest import QUICK
from tests.integration.edge_slots import tiny_models

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOTS = ("robot-1", "robot-2")
THESE = "index in (1, 2)"
"""robot-3 has no pipelines."""
PATIENT = replace(QUICK, wave_percents=(100,), bake_s=600.0)
"""It stays under way until somebody promotes it."""
STRICT = replace(QUICK, wave_percents=(50, 100), bake_s=60.0, confidence_tolerance=0.05)
WAIT_S = 60.0
_Plain = dict[str, Any]


class Robots(Struct, frozen=True):
    """The running system as an operator sees it."""

    fleet: Fleet
    home: Path
    directory: Path

    async def publish(self, model: str, gain: float) -> None:
        """A model that answers the brightness of a frame, times ``gain``, which is its confidence."""
        name, _, version = model.partition(":")
        made = tiny_models.brightness(self.directory, f"{name}-{version}", gain=gain)
        await self.fleet.push_model(made.path, name, version)

    async def start(
        self, model: str, policy: RolloutPolicy, strategy: Strategy = Strategy.CANARY
    ) -> Rollout:
        return await self.fleet.start_rollout(model, THESE, strategy=strategy, policy=policy)

    async def reached(self, rollout: Rollout, until: Callable[[Rollout], bool]) -> Rollout:
        """The rollout once it is as described."""
        async with asyncio.timeout(WAIT_S):
            while True:
                kept = await read_rollout(self.fleet.connection, rollout.rollout_id)
                assert kept is not None
                if until(kept.event):
                    return kept.event
                await asyncio.sleep(0.1)

    async def ended(self, rollout: Rollout) -> Rollout:
        return await self.fleet.wait_rollout(rollout.rollout_id, timeout_s=WAIT_S)

    async def says(self, *words: str) -> str:
        """What the command line answers."""
        ran = await run({"FLEETWARD_HOME": str(self.home)}, *words)
        assert ran.code == 0, ran.complaint
        return ran.output

    async def listed(self) -> dict[str, _Plain]:
        """``robot list``, by robot."""
        robots = json.loads(await self.says("robot", "list", "--where", THESE, "--json"))
        return {robot["robot_id"]: robot for robot in robots}

    async def start_set(self, detector: str, segmenter: str) -> Rollout:
        """Both together, as the command line asks for them."""
        policy = ("--waves", "100", "--bake", "1s", "--set", "proof_inferences=5")
        started = await self.says(
            *("rollout", "start", detector, "--together", segmenter, "--to", THESE),
            *(*policy, "--set", "min_inferences=5", "--set", "health_window_s=1.5", "--json"),
        )
        return await self.fleet.rollout(json.loads(started)["rollout_id"])

    async def serve(self, detector: str, segmenter: str) -> None:
        """Wait until every robot says that it serves both."""
        wanted = dict.fromkeys(ROBOTS, (detector, segmenter))
        async with asyncio.timeout(WAIT_S):
            while True:
                if _served(await self.listed()) == wanted:
                    return
                await asyncio.sleep(0.1)


def _served(robots: dict[str, _Plain]) -> dict[str, tuple[str, str]]:
    return {
        robot: (told["active_model"], told["pipelines"][0]["active_model"])
        for robot, told in robots.items()
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def robots(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robots]:
    """Two robots that serve a detector and a segmenter, which were rolled out one after the other."""
    home, models = tmp_path_factory.mktemp("system"), wheels.REPOSITORY / releases.DESTINATION
    releases.materialise(models)
    environment = {
        "FLEETWARD_FRAMES_DIR": str(models / "frames"),
        "FLEETWARD_FRAME_RATE_HZ": "5",
        "FLEETWARD_FRAME_HEIGHT_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_FRAME_WIDTH_PX": str(tiny_models.SIDE_PX),
        "FLEETWARD_CHECK_IN_S": "0.5",
    }
    *several, alone = fleet(len(ROBOTS) + 1, environment)
    pipelines = {**environment, "FLEETWARD_PIPELINES": "segmenter"}
    members = [*(replace(each, environment=pipelines) for each in several), alone]
    settings = Settings(home=home, robots=members, launch=forked.launch)
    async with local_system(settings, print), Fleet.connect(home) as operator:
        running = Robots(operator, home, tmp_path_factory.mktemp("models"))
        for model, gain in (
            ("detector:1", 1.0),
            ("segmenter:1", 0.95),
            ("detector:2", 0.98),
            ("segmenter:2", 0.05),
            ("detector:3", 0.97),
            ("segmenter:3", 0.94),
            ("detector:4", 0.96),
        ):
            await running.publish(model, gain)
        for model in ("detector:1", "segmenter:1"):
            ended = await running.ended(await running.start(model, QUICK, Strategy.ALL_AT_ONCE))
            assert ended.state is RolloutState.SUCCEEDED, ended.reason
        yield running


def all_proved(rollout: Rollout) -> bool:
    return {held.phase for held in rollout.robots.values()} == {RobotPhase.PROVED}


async def test_one_model_is_taken_back_by_its_own_evidence_and_the_other_stays(
    robots: Robots,
) -> None:
    await robots.serve("detector:1", "segmenter:1")
    detects = await robots.start("detector:2", PATIENT)
    await robots.reached(detects, all_proved)
    segments = await robots.start("segmenter:2", STRICT)

    held = await robots.listed()
    assert {told["owner"] for told in held.values()} == {detects.rollout_id}
    beside = {told["pipelines"][0]["owner"] for told in held.values()}
    assert beside == {segments.rollout_id}
    why = await robots.says("rollout", "explain", segments.rollout_id, "robot-1")
    assert "gives segmenter:2 to the robot's pipeline segmenter" in why
    assert f"It belongs to rollout {detects.rollout_id}." in why
    shown = await robots.says("rollout", "status", segments.rollout_id)
    assert "segmenter in the pipeline of its name on all of them" in shown

    ended = await robots.ended(segments)
    assert ended.state is RolloutState.REVERTED
    assert "confidence" in ended.reason, ended.reason
    await robots.serve("detector:2", "segmenter:1")
    stays = await robots.reached(detects, all_proved)
    assert stays.state is RolloutState.RUNNING
    assert {held.generation for held in stays.robots.values()} == {2}, "given once, and kept"
    await robots.says("rollout", "promote", detects.rollout_id)
    assert (await robots.ended(detects)).state is RolloutState.SUCCEEDED


async def test_a_set_switches_together_on_who_can_and_the_others_are_told_why(
    robots: Robots,
) -> None:
    await robots.serve("detector:2", "segmenter:1")
    asked = ("detector:3", "--together", "segmenter:3", "--to", "all", "--json")
    plan = json.loads(await robots.says("rollout", "plan", *asked))
    assert plan["together"] == ["segmenter:3"]
    (left_out,) = plan["left_out"]
    assert left_out["named"] == ["robot-3"]
    assert "it has one pipeline for detector and segmenter" in left_out["reason"]

    both = await robots.start_set("detector:3", "segmenter:3")
    assert (await robots.ended(both)).state is RolloutState.SUCCEEDED
    await robots.serve("detector:3", "segmenter:3")
    replayed = await robots.says("rollout", "replay", both.rollout_id)
    assert "reproduced" in replayed, replayed


async def test_a_set_of_which_one_model_fails_is_taken_back_whole(robots: Robots) -> None:
    bad = tiny_models.failing(robots.directory, "segmenter-bad", on_black=True)
    await robots.fleet.push_model(bad.path, "segmenter", "bad")
    before = await robots.listed()
    both = await robots.start_set("detector:4", "segmenter:bad")
    ended = await robots.ended(both)
    assert ended.state is RolloutState.REVERTED
    assert "segmenter:bad" in ended.reason, ended.reason
    await robots.serve("detector:3", "segmenter:3")
    after = await robots.listed()
    dropped = {
        robot: told["frames_failed"] - before[robot]["frames_failed"]
        for robot, told in after.items()
    }
    assert dropped == dict.fromkeys(ROBOTS, 0), "no frame was answered by a set that was not whole"


async def test_one_model_of_a_set_moves_on_alone_and_the_other_hears_nothing_of_it(
    robots: Robots,
) -> None:
    await robots.serve("detector:3", "segmenter:3")
    ended = await robots.ended(await robots.start("detector:4", QUICK))
    assert ended.state is RolloutState.SUCCEEDED, ended.reason
    await robots.serve("detector:4", "segmenter:3")
    for robot in ROBOTS:
        failed = await last_value(robots.fleet.connection, ActivationFailed, robot_id=robot)
        assert failed is None or str(failed.event.model) != "segmenter:3", failed
