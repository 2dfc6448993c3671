"""A robot's disk is full: it serves on, says why it cannot take the new model, and takes it later."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from examples.demo import releases
from fleetward.contracts.rollouts import Rollout, RolloutState, Strategy
from tests.faults.conftest import QUICK, Fleetward, running
from tests.faults.fleet_facts import rollout_that, serves, serves_on
from tests.faults.small_disks import fill_up, small_disk

pytestmark = pytest.mark.slow

MIB = 1024 * 1024
DISK_BYTES = 96 * MIB
TOO_LITTLE_BYTES = 32 * MIB
"""Room for the journal, but less than a robot keeps in reserve."""


async def given(system: Fleetward, version: str) -> Rollout:
    """The end of a rollout of ``version`` to everybody at once."""
    rollout = await system.start(version, Strategy.ALL_AT_ONCE)
    return await system.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)


async def halted_without_an_answer(system: Fleetward, version: str) -> Rollout:
    """A rollout that nobody answers, as far as it comes alone."""
    rollout = await system.fleet.start_rollout(
        f"{releases.MODEL_NAME}:{version}",
        "all",
        strategy=Strategy.ALL_AT_ONCE,
        policy=replace(QUICK, silent_after_s=2.0),
    )
    return await rollout_that(system, rollout, lambda now: now.state is RolloutState.REVERTING)


async def test_a_full_robot_serves_on_and_the_rollout_is_taken_back_until_space_returns(
    tmp_path: Path, models: Path
) -> None:
    home = tmp_path / "home"
    disk = home / "robots" / "robot-1"
    home.mkdir()
    filler = disk / "filler"
    with small_disk(disk, DISK_BYTES):
        async with running(home, models, robots=1) as system:
            first, second = await system.publish_build(1), await system.publish_build(2)
            await given(system, first)

            fill_up(filler, leave_bytes=TOO_LITTLE_BYTES)
            ended = await given(system, second)
            assert ended.state is RolloutState.REVERTED
            assert "robot-1: fetch: Free space on the robot's disk" in ended.reason
            await serves(system, "robot-1", first)

            fill_up(filler)
            silent = await halted_without_an_answer(system, second)
            assert silent.reason.startswith("only 0 of 1 robot proved the model")
            filler.unlink()
            ended = await system.fleet.wait_rollout(silent.rollout_id, timeout_s=90)
            assert ended.state is RolloutState.REVERTED
            await serves(system, "robot-1", first)
            await serves_on(system, "robot-1")

            ended = await given(system, second)
            assert ended.state is RolloutState.SUCCEEDED, ended.reason
            await serves(system, "robot-1", second)
            assert system.system.process("edge-bridge.robot-1").restarts == 0
