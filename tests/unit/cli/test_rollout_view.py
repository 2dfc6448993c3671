"""An operator sees which robot is in trouble, why, and what the rollout waits for."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from msgspec.structs import replace
from rich.console import Console

from fleetward.cli.rollout_view import MAX_ROBOTS_SHOWN, line, view
from fleetward.cli.rollout_waits import OVERDUE_S, SHORT_CHARACTERS, in_short, is_held, waiting_for
from fleetward.contracts.ids import model_name, robot_id
from fleetward.contracts.members import Member
from fleetward.contracts.robots import Fetching
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout, RolloutState, Strategy
from tests.unit.cli.rollouts import ARM_1, ARM_2, ARM_3, NOW, rollout


def shown(rollout: Rollout, width: int = 200) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(view(rollout, NOW))
    return console.export_text()


def settled(state: RolloutState = RolloutState.RUNNING) -> Rollout:
    """Everybody proved."""
    proved = {robot: RobotProgress(phase=RobotPhase.PROVED) for robot in (ARM_1, ARM_2, ARM_3)}
    return replace(rollout(state), robots=proved)


@pytest.mark.parametrize("state", RolloutState)
def test_a_rollout_is_shown_whole_in_every_state(state: RolloutState) -> None:
    text = shown(rollout(state, reason="canary is slower"))

    assert all(
        piece in text
        for piece in (
            *("r-1", "detector:2.0", state.value, "wave 1 (canary)", "wave 2"),
            *("✓ arm-1 proved", "✗ arm-2 failed", "(out of memory)", "· arm-3 waiting"),
            *("canary", "control", "45.00", "canary is slower"),
        )
    )


def test_a_rollout_tells_in_which_pipelines_its_models_stand() -> None:
    one = rollout()
    segmenter = replace(one.model, name=model_name("segmenter"))
    there = replace(one.robots[ARM_1], pipelines=(segmenter.name,))
    alone = replace(one, model=segmenter, robots={**one.robots, ARM_1: there})
    assert "segmenter in the pipeline of its name on 1 of 3 robots" in shown(alone)
    both = replace(
        one,
        together=(Member(model=segmenter, digest=one.digest),),
        robots=dict.fromkeys(one.robots, there),
    )
    text = shown(both)
    assert "detector:2.0 and segmenter:2.0" in text
    assert "segmenter in the pipeline of its name on all of them" in text
    assert "all switch at one instant on each robot, or none does" in text
    assert "detector:2.0 and segmenter:2.0" in line(both)
    assert "pipeline" not in shown(one)


def test_a_robot_in_trouble_is_not_hidden_by_many_that_do_well() -> None:
    fleet = tuple(robot_id(f"arm-{number}") for number in range(2 * MAX_ROBOTS_SHOWN))
    phases = {robot: RobotProgress(phase=RobotPhase.PROVED) for robot in fleet}
    phases[fleet[-1]] = RobotProgress(phase=RobotPhase.FAILED, reason="out of memory")

    text = shown(replace(rollout(), waves=(fleet,), robots=phases, wave=0))

    assert f"✗ {fleet[-1]} failed (out of memory)" in text
    assert f"and {MAX_ROBOTS_SHOWN} more: {MAX_ROBOTS_SHOWN} proved" in text


def test_a_robot_that_has_its_target_shows_how_far_its_fetch_is() -> None:
    robots = {ARM_1: RobotProgress(phase=RobotPhase.TARGETED), ARM_2: RobotProgress()}
    fetching = Fetching(model=rollout().model, bytes_done=12_400_000, bytes_total=34_000_000)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(view(replace(rollout(), robots=robots), NOW, {ARM_1: fetching, ARM_2: fetching}))
    text = console.export_text()
    assert "arm-1 targeted 12.4 of 34.0 MB" in text
    assert text.count("34.0 MB") == 1


def test_a_long_reason_stays_indented_on_a_narrow_terminal() -> None:
    lines = shown(rollout(reason="word " * 60), width=60).splitlines()

    assert all(line.startswith("  ") for line in lines[1:] if line)


def test_it_says_who_has_not_proved_the_model_and_how_long_that_may_take() -> None:
    targeted = RobotProgress(phase=RobotPhase.TARGETED, targeted_at=NOW - timedelta(seconds=30))
    waiting = replace(rollout(), robots={ARM_2: targeted})

    assert waiting_for(waiting, NOW) == "waiting for proof from arm-2: 30 s of at most 2 min"


def test_it_names_few_of_many_robots() -> None:
    targeted = RobotProgress(phase=RobotPhase.TARGETED, targeted_at=NOW)
    fleet = {robot_id(f"arm-{number}"): targeted for number in range(9)}

    assert "arm-3, arm-4 and 4 more:" in waiting_for(replace(rollout(), robots=fleet), NOW)


def test_it_says_how_long_a_wave_must_still_do_well() -> None:
    baking = replace(settled(), baking_since=NOW - timedelta(seconds=4))

    assert waiting_for(baking, NOW) == "the wave must do well: 4 s of 10 s"


def test_it_says_that_telemetry_is_missing() -> None:
    baked = replace(settled(), baking_since=NOW - timedelta(seconds=40))

    assert waiting_for(baked, NOW).startswith("waiting for telemetry: 20 of at least 50 inferences")


def test_a_decision_long_overdue_points_at_the_coordinator() -> None:
    long_ago = timedelta(seconds=120 + OVERDUE_S + 1)
    targeted = RobotProgress(phase=RobotPhase.TARGETED, targeted_at=NOW - long_ago)

    assert "is rollout-coordinator running?" in waiting_for(
        replace(rollout(), robots={ARM_2: targeted}), NOW
    )


def test_a_paused_rollout_says_how_it_goes_on() -> None:
    assert "`fleetward rollout resume r-1`" in waiting_for(rollout(RolloutState.PAUSED), NOW)


@pytest.mark.parametrize("state", [RolloutState.SUCCEEDED, RolloutState.REVERTED])
def test_a_rollout_that_ended_waits_for_nothing(state: RolloutState) -> None:
    assert waiting_for(rollout(state), NOW) == ""


def test_a_shadow_that_did_well_is_not_shown_as_a_failure() -> None:
    back = {robot: RobotProgress(phase=RobotPhase.REVERTED) for robot in (ARM_1, ARM_2, ARM_3)}
    did_well = replace(
        rollout(RolloutState.REVERTING),
        strategy=Strategy.SHADOW,
        ends_as=RolloutState.SUCCEEDED,
        robots=back,
    )
    text = shown(did_well)
    assert "ending the shadow" in text
    assert "arm-1 shadow ended" in text
    assert "reverted" not in text


def test_a_rollout_that_is_held_says_by_what_in_the_list_and_in_the_log() -> None:
    held = replace(rollout(), withheld="before wave 2, gate board waits for 1 approval")
    assert is_held(held)
    assert in_short(held, NOW) == held.withheld
    assert f"held: {held.withheld}" in line(held)
    assert not is_held(replace(held, state=RolloutState.REVERTING))


def test_the_list_says_in_short_why_a_rollout_is_where_it_is() -> None:
    targeted = RobotProgress(phase=RobotPhase.TARGETED, targeted_at=NOW)
    assert in_short(replace(rollout(), robots={ARM_2: targeted}), NOW).startswith(
        "waiting for proof"
    )
    long = in_short(rollout(RolloutState.REVERTED, reason="word " * 60), NOW)
    assert long.endswith("…")
    assert len(long) <= SHORT_CHARACTERS


def test_a_continuous_rollout_that_is_through_is_not_overdue_and_says_what_ends_it() -> None:
    since = NOW - timedelta(hours=3)
    steady = replace(settled(), is_continuous=True, baking_since=since, steady_since=NOW)
    assert waiting_for(steady, NOW) == (
        "every robot is through; waiting for robots that its selector names later, until "
        "`fleetward rollout finish r-1`"
    )


def test_the_robots_of_an_a_b_rollout_that_keep_what_they_have_are_named_so() -> None:
    text = shown(replace(rollout(), strategy=Strategy.A_B))
    assert "wave 1  " in text
    assert "wave 2 (control, keeps what it has)" in text
