"""What a person types becomes numbers, and what happened becomes words and exit codes."""

from __future__ import annotations

import pytest
import typer
from msgspec.structs import replace

from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.cli import plain
from fleetward.cli.durations import seconds, spoken
from fleetward.cli.exits import Exit, exit_of_error, exit_of_rollout
from fleetward.cli.pairs import pairs_of
from fleetward.cli.policy import policy_of
from fleetward.cli.robot import row_of
from fleetward.cli.rollout_view import line
from fleetward.client import NoSystemError, RobotStatus, RolloutRefusedError, RolloutTimeoutError
from fleetward.client.owners import Ownership
from fleetward.contracts.errors import FleetwardError, InvalidIdError
from fleetward.contracts.ids import BootId, model_name, rollout_id
from fleetward.contracts.places import Place
from fleetward.contracts.policies import PolicyError
from fleetward.contracts.robots import (
    ActivationFailed,
    ActivationStage,
    Fetching,
    PipelineStanding,
    RobotCheckedIn,
    RobotEnrolled,
)
from fleetward.contracts.rollouts import RolloutPolicy, RolloutState, SwitchScope
from fleetward.contracts.selectors import SelectorError
from tests.unit.cli.rollouts import ARM_1, NOW, rollout


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("500ms", 0.5), ("10s", 10), ("10", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86_400)],
)
def test_durations_are_read_as_written(text: str, duration_s: float) -> None:
    assert seconds(text) == duration_s


@pytest.mark.parametrize("text", ["", "s", "-1s", "1 s", "1w", "1e3", "nan", "10s\n"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is not a duration"):
        seconds(text)


def test_durations_are_spoken_in_the_fitting_unit() -> None:
    assert [spoken(duration_s) for duration_s in (5, 600, 9000)] == ["5 s", "10 min", "2.5 h"]


def test_pairs_keep_everything_after_the_first_equals_sign() -> None:
    assert pairs_of("--metadata", ["a=b=c", "d="]) == {"a": "b=c", "d": ""}


def test_policy_changes_only_what_was_given() -> None:
    assert policy_of(None, {"bake_s": None}, {}) == RolloutPolicy()
    assert policy_of("10,100", {"bake_s": 3.0}, {"alpha": "0.01", "min_inferences": "7"}) == (
        RolloutPolicy(wave_percents=(10, 100), bake_s=3.0, alpha=0.01, min_inferences=7)
    )


def test_durations_sizes_and_lists_of_a_policy_are_read_as_elsewhere() -> None:
    further = {"stalled_after_s": "10m", "byte_cap": "5MB", "wave_counts": "1,5", "switch": "site"}
    assert policy_of(None, {}, further) == RolloutPolicy(
        stalled_after_s=600, byte_cap=5_000_000, wave_counts=(1, 5), switch=SwitchScope.SITE
    )


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("alpha", "high", "alpha is a number, not 'high'"),
        ("min_inferences", "1.5", "min_inferences is a whole number, not '1.5'"),
        ("wave_counts", "1,a", "wave_counts is whole numbers, with commas between them, not '1,a'"),
        ("switch", "town", r"switch is one of \[fleet\|site\], not 'town'"),
        ("watch_after_s", "soon", "watch_after_s 'soon' is not a duration; write 500ms"),
        ("byte_cap", "much", "byte_cap 'much' is not a size; write 500kB"),
        ("gates", "approval@start", "gates has an option of its own, --gate"),
        ("min_inference", "3", "no 'min_inference'; did you mean min_inferences?"),
        ("courage", "1", "no 'courage'; it has latency_tolerance, "),
    ],
)
def test_a_wrong_part_of_a_policy_is_told_with_what_it_may_be(
    name: str, value: str, told: str
) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        policy_of(None, {}, {name: value})


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoSystemError("x"), Exit.UNREACHABLE),
        (NoAnswerError("x"), Exit.UNREACHABLE),
        (InvalidIdError("robot id", "*", "rule"), Exit.USAGE),
        (SelectorError("site=", 5, "expected a value"), Exit.USAGE),
        (PolicyError("x"), Exit.USAGE),
        (RolloutTimeoutError("x"), Exit.TIMED_OUT),
        (RolloutRefusedError("x"), Exit.FAILED),
        (RefusedError("ModelRefusedError", "x"), Exit.FAILED),
        (FleetwardError("x"), Exit.FAILED),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: FleetwardError, code: Exit) -> None:
    assert exit_of_error(error) is code


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (RolloutState.SUCCEEDED, 0),
        (RolloutState.REVERTED, 4),
        (RolloutState.ABORTED, 5),
        (RolloutState.REFUSED, 1),
    ],
)
def test_every_end_of_a_rollout_has_its_exit_code(state: RolloutState, code: int) -> None:
    assert exit_of_rollout(rollout(state)) == code


def test_a_rollout_fits_into_one_line_of_a_log() -> None:
    assert line(rollout(RolloutState.REVERTING, reason="slow")) == (
        "r-1 detector:2.0 reverting wave 2/2 waiting=1 proved=1 failed=1 (slow)"
    )


def test_a_robot_whose_last_activation_failed_is_marked_with_the_reason() -> None:
    failed = ActivationFailed(
        robot_id=ARM_1,
        rollout_id=rollout().rollout_id,
        generation=2,
        model=rollout().model,
        stage=ActivationStage.LOAD,
        reason="no such operator " * 10,
        failed_at=NOW,
    )
    heard = RobotCheckedIn(robot_id=ARM_1, boot_id=BootId("b"), sequence=1, checked_in_at=NOW)
    enrolled = RobotEnrolled(robot_id=ARM_1, enrolled_at=NOW)

    trouble = [
        row_of(RobotStatus(enrolled=enrolled, last=heard, outcome=outcome), NOW)[-1]
        for outcome in (None, failed)
    ]

    assert trouble[0] == ""
    assert trouble[1].startswith("✗ detector:2.0 failed at load: no such operator no such")
    assert trouble[1].endswith("…")


def test_a_robot_says_what_it_holds_beside_the_model_it_serves_and_why_it_waits() -> None:
    model = rollout().model
    heard = RobotCheckedIn(
        robot_id=ARM_1,
        boot_id=BootId("b"),
        sequence=1,
        active_model=model,
        staged_model=model,
        held_back="docked: docked is false",
        checked_in_at=NOW,
    )
    enrolled = RobotEnrolled(robot_id=ARM_1, enrolled_at=NOW)
    row = row_of(RobotStatus(enrolled=enrolled, last=heard, outcome=None), NOW)
    assert row[2] == f"{model} (staged {model})"
    assert row[-1] == "held back: docked: docked is false"
    shadowing = replace(heard, staged_model=None, shadow_model=model, held_back="")
    row = row_of(RobotStatus(enrolled=enrolled, last=shadowing, outcome=None), NOW)
    assert (row[2], row[-1]) == (f"{model} (shadow {model})", "")


def test_a_robot_with_pipelines_tells_of_each_model_and_whose_it_is() -> None:
    segmenter = replace(rollout().model, name=model_name("segmenter"))
    beside = PipelineStanding(
        name=segmenter.name,
        active_model=segmenter,
        staged_model=segmenter,
        fetching=Fetching(model=segmenter, bytes_done=1_000_000, bytes_total=2_000_000),
        held_back="docked: docked is false",
    )
    heard = RobotCheckedIn(
        robot_id=ARM_1,
        boot_id=BootId("b"),
        sequence=1,
        active_model=rollout().model,
        pipelines=(beside, PipelineStanding(name=model_name("speech"))),
        checked_in_at=NOW,
    )
    status = RobotStatus(enrolled=RobotEnrolled(robot_id=ARM_1, enrolled_at=NOW), last=heard)
    row = row_of(status, NOW)
    assert row[2] == (
        "detector:2.0 + segmenter:2.0 (staged segmenter:2.0) ← segmenter:2.0 1.0 of 2.0 MB + speech"
    )
    assert row[-1] == "segmenter held back: docked: docked is false"
    held: dict[Place, Ownership] = {segmenter.name: Ownership(rollout_id("r-2"), 7)}
    told = plain.robot(status, NOW, held)
    assert told["owner"] is None
    assert [(each["owner"], each["epoch"]) for each in told["pipelines"]] == [
        ("r-2", 7),
        (None, None),
    ]


def test_json_of_a_rollout_has_every_key_even_where_a_field_has_its_default() -> None:
    keys = plain.rollout(rollout())

    assert keys["reason"] == ""
    assert keys["ended_at"] is None
    assert keys["robots"]["arm-3"]["phase"] == "waiting"
    assert keys["canary"]["latency_ms_mean"] == 45.0
    assert keys["control"] == {
        "inferences": 0,
        "errors": 0,
        "latency_ms_mean": None,
        "confidence_mean": None,
        "signals_mean": {},
    }
