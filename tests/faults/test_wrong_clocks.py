"""Robots whose clocks are a month off, or jump by one, are rolled out to, judged and missed like any other."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from examples.demo import releases
from fleetward.contracts.rollouts import RobotPhase, RolloutState
from tests.faults.conftest import QUICK, running
from tests.faults.fleet_facts import check_in, serves, serves_on
from tests.faults.silence import silences, silent_once_more, stopped
from tests.faults.wrong_clock import LATER

pytestmark = pytest.mark.slow

OFF_BY_DAYS = {"robot-1": -30, "robot-2": 30}
JUMPS = "robot-2"
"""Its clock is right until it served its first model for a while."""
OUGHT_TO_S = 20 * 86_400


async def test_rollouts_and_alerts_work_on_robots_whose_clocks_are_a_month_off(
    tmp_path: Path, models: Path
) -> None:
    wrong_clock = str(Path(__file__).with_name("wrong_clock.py"))
    programs = {
        f"edge-bridge.{robot}": [
            *(sys.executable, wrong_clock, str(days)),
            *([LATER] if robot == JUMPS else ()),
        ]
        for robot, days in OFF_BY_DAYS.items()
    }
    async with running(tmp_path / "home", models, robots=2, programs=programs) as system:
        await system.fleet.push_model(models / "v1.onnx", releases.MODEL_NAME, "v1")
        await system.fleet.push_model(models / "v3.onnx", releases.MODEL_NAME, "v3")
        for version in ("v1", await system.publish_build(1)):
            rollout = await system.fleet.start_rollout(
                f"{releases.MODEL_NAME}:{version}",
                "all",
                policy=replace(QUICK, wave_percents=(50, 100)),
            )
            ended = await system.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)
            assert ended.state is RolloutState.SUCCEEDED, ended.reason
            assert {of.phase for of in ended.robots.values()} == {RobotPhase.PROVED}
            assert ended.evidence.canary.inferences >= QUICK.min_inferences
            if version == "v1":
                before = await silences(system, JUMPS)
                system.system.kill(f"edge-bridge.{JUMPS}", signal.SIGUSR1)
                await serves_on(system, JUMPS)
                assert await silences(system, JUMPS) == before
        for robot, days in OFF_BY_DAYS.items():
            await serves(system, robot, version)
            said = await check_in(system, robot)
            assert said is not None
            off_s = (said.checked_in_at - ended.started_at).total_seconds()
            assert off_s * days > 0, "the robot's clock was right"
            assert abs(off_s) > OUGHT_TO_S
            assert system.system.process(f"edge-bridge.{robot}").restarts == 0
        before = await silences(system, "robot-1")
        async with stopped(system, "robot-1"):
            await silent_once_more(system, "robot-1", before)
