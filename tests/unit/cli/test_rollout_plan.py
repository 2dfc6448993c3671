"""A plan is shown with when it begins, and with the windows that it waits for."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from msgspec.structs import replace

from fleetward.cli.rollout_plan import show_plan
from fleetward.client.forecast import Forecast, Wait, WaveForecast
from fleetward.client.plans import RolloutPreview
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId, Version
from fleetward.contracts.members import Member
from fleetward.contracts.rollout_plans import PlannedWave, RolloutPlanned
from fleetward.contracts.rollouts import RolloutPolicy, Strategy

TONIGHT = datetime(2026, 1, 5, 22, tzinfo=timezone.utc)
OPENS = datetime(2026, 1, 6, 2, tzinfo=timezone.utc)
FOUND = RolloutPreview(
    plan=RolloutPlanned(
        strategy=Strategy.CANARY,
        policy=RolloutPolicy(),
        selected=1,
        waves=(PlannedWave(robots=(RobotId("r1"),), sites={"lab": 1}),),
        begins_at=TONIGHT,
    ),
    forecast=Forecast(
        begins_at=TONIGHT,
        waves=(
            WaveForecast(
                robots=1, sites={"lab": 1}, fetch_bytes=0, fetch_s=0.0, ends_after_s=14460.0
            ),
        ),
        waits=(Wait(wave=1, site="lab", opens_at=OPENS),),
        assumptions=("nothing",),
    ),
)


def test_a_scheduled_plan_says_from_when_it_counts_and_what_it_waits_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show_plan(FOUND, as_json=False)
    said = capsys.readouterr().out
    assert "from 2026-01-05 22:00:00 UTC on." in said
    assert (
        "Waits: wave 1 for the window of site lab, which opens at Tue 2026-01-06 02:00 UTC." in said
    )


def test_the_same_is_in_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(FOUND, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["begins_at"] == "2026-01-05T22:00:00Z"
    assert said["waits"] == [{"wave": 1, "site": "lab", "opens_at": "2026-01-06T02:00:00Z"}]


def test_a_set_is_named_whole(capsys: pytest.CaptureFixture[str]) -> None:
    detector, segmenter = (
        ModelRef(ModelName(name), Version("2")) for name in ("detector", "segmenter")
    )
    member = Member(model=segmenter, digest=Digest("sha256:" + "a" * 64))
    found = replace(FOUND, plan=replace(FOUND.plan, model=detector, together=(member,)))
    show_plan(found, as_json=False)
    assert "detector:2 together with segmenter:2 by canary to 1 of" in capsys.readouterr().out
    show_plan(found, as_json=True)
    assert json.loads(capsys.readouterr().out)["together"] == ["segmenter:2"]
