"""What was said of a wave, a gate or a plan ends with it."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.contracts.control import ControlAction
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.rollouts import RobotPhase, RolloutState
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.scenes import activated, after, asked, failed, robot, summary

LAX = replace(scenes.POLICY, max_error_percent=50, min_success_percent=50)
GATED = replace(
    LAX, bake_s=0, gates=(Gate(name="ann", kind=GateKind.APPROVAL, before=Checkpoint.WAVE),)
)


def test_an_aborted_rollout_waits_at_no_gate() -> None:
    rollout = after(
        scenes.started(1, 1, policy=GATED), (activated(1), 1), (summary(1, 2), 2), (Tick(), 3)
    )
    assert rollout.checkpoint == "wave 2"
    ended = after(rollout, (asked(ControlAction.ABORT), 4))
    assert ended.state in {RolloutState.REVERTING, RolloutState.ABORTED}
    assert (ended.checkpoint, ended.gates) == ("", {})


def test_a_retry_at_a_gate_bakes_anew_before_the_gate_is_asked_again() -> None:
    rollout = after(
        scenes.started(2, 1, policy=replace(GATED, bake_s=50)),
        (activated(1), 1),
        (failed(2), 2),
        (summary(1, 3), 3),
        (Tick(), 4),
        (Tick(), 60),
    )
    assert rollout.checkpoint == "wave 2"
    retried = after(rollout, (asked(ControlAction.RETRY), 61))
    assert retried.checkpoint == ""
    assert retried.robots[robot(2)].phase is RobotPhase.TARGETED
    proved = after(retried, (activated(2, 6), 62), (Tick(), 63), (Tick(), 64))
    assert (proved.checkpoint, proved.wave) == ("", 0), "the wave bakes first"


def test_a_retry_after_a_promotion_bakes_anew() -> None:
    rollout = after(
        scenes.started(2, 1, policy=LAX),
        (activated(1), 1),
        (failed(2), 2),
        (asked(ControlAction.PROMOTE), 2.5),
    )
    retried = after(replace(rollout, wave=0), (asked(ControlAction.RETRY), 3))
    assert not retried.is_promoted
