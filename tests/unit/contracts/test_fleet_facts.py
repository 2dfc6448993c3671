"""What a selector can ask of a robot, and what a robot cannot make it answer."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from fleetward.contracts.fleet_facts import (
    LIVE_FACTS,
    MAX_LABELS,
    LabelError,
    check_labels,
    facts_of,
    is_online,
)
from fleetward.contracts.ids import BootId, Digest, ModelName, ModelRef, RobotId, Version
from fleetward.contracts.robots import (
    CHECK_IN_S,
    PipelineStanding,
    RobotCheckedIn,
    RobotEnrolled,
    TargetMode,
)
from fleetward.contracts.selectors import parse_selector

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
DIGEST, OTHER = (Digest("sha256:" + each * 64) for each in "ab")
ENROLLED = RobotEnrolled(
    robot_id=RobotId("arm-7"), labels={"site": "berlin", "tag": "demo,night"}, enrolled_at=NOW
)


def said(**facts: bool | float | str) -> RobotCheckedIn:
    """What it serves, what it can do, and what its program reports; its own clock is years off."""
    return RobotCheckedIn(
        robot_id=ENROLLED.robot_id,
        boot_id=BootId("boot"),
        sequence=1,
        generation=7,
        active_model=ModelRef(ModelName("detector"), Version("1.3")),
        active_digest=DIGEST,
        modes=(TargetMode.STAGE,),
        facts=facts,
        checked_in_at=NOW.replace(year=1999),
    )


@pytest.mark.parametrize(
    "selector",
    [
        "robot=arm-7 and site=berlin and tag=night and tag=demo",
        "online and online=true",
        "model=detector and model=detector:1.3 and version=1.3",
        f"digest={DIGEST}",
        "generation=7 and generation>6",
        "mode=stage and mode=serve and not mode=shadow",
        "docked and not moving and battery>=0.4 and gripper=vacuum",
    ],
)
def test_labels_and_live_facts_are_asked_alike(selector: str) -> None:
    facts = facts_of(
        ENROLLED, said(docked=True, moving=False, battery=0.5, gripper="vacuum"), NOW, NOW
    )
    assert parse_selector(selector)(facts)


def test_a_robot_reports_neither_a_label_nor_a_live_fact() -> None:
    lies = {"site": "paris", "tag": "x", "online": "false", "robot": "arm-8", "model": "detector:9"}
    told = facts_of(ENROLLED, said(**lies), NOW, NOW)
    assert told == facts_of(ENROLLED, said(), NOW, NOW)


def test_a_robot_that_never_said_anything_is_known_by_its_labels_and_is_not_online() -> None:
    facts = facts_of(ENROLLED, None, None, NOW)
    assert facts == {**ENROLLED.labels, "robot": "arm-7", "online": "false"}
    assert not parse_selector("online or model=detector or generation<9 or mode=serve")(facts)


def test_online_is_judged_by_when_the_server_heard_it_and_by_its_lease() -> None:
    patience = timedelta(seconds=CHECK_IN_S + ENROLLED.lease_s)
    assert is_online(ENROLLED, NOW - patience, NOW)
    assert not is_online(ENROLLED, NOW - patience - timedelta(seconds=1), NOW)


@pytest.mark.parametrize("name", sorted(LIVE_FACTS))
def test_no_label_hides_a_live_fact(name: str) -> None:
    with pytest.raises(LabelError, match=f"no label may be called '{name}'"):
        check_labels({name: "x"})


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"not": "x"}, "no label may be called 'not'"),
        ({"": "x"}, "label '' is not valid"),
        ({"a b": "x"}, "label 'a b' is not valid"),
        ({"site": 'a"b'}, "the value of label 'site' is not valid"),
        ({"site": "a\nb"}, "the value of label 'site' is not valid"),
        ({"site": "x" * 201}, "the value of label 'site' is not valid"),
        ({f"l{number}": "x" for number in range(MAX_LABELS + 1)}, "65 labels are more than"),
    ],
)
def test_a_label_that_no_selector_could_ask_for_is_refused(
    labels: dict[str, str], problem: str
) -> None:
    with pytest.raises(LabelError, match=problem):
        check_labels(labels)


@pytest.mark.parametrize(
    "selector",
    [
        f"model=detector and model=segmenter and model=segmenter:7 and digest={DIGEST}",
        f"digest={OTHER} and not model=segmenter:1.3 and version=1.3",
    ],
)
def test_a_robot_with_pipelines_answers_by_each_of_its_models(selector: str) -> None:
    segmenter = PipelineStanding(
        name=ModelName("segmenter"),
        active_model=ModelRef(ModelName("segmenter"), Version("7")),
        active_digest=OTHER,
    )
    idle = PipelineStanding(name=ModelName("speech"))
    facts = facts_of(ENROLLED, replace(said(), pipelines=(segmenter, idle)), NOW, NOW)
    assert parse_selector(selector)(facts)
