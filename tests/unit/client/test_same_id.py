"""Asking twice under one id is harmless, and asking for something else under it is told."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.client.rollouts import asked_otherwise
from fleetward.contracts.ids import ModelName, RobotId, RolloutId, model_selector
from fleetward.contracts.members import Member
from fleetward.contracts.rollouts import RolloutPolicy, RolloutRequested, Strategy
from tests.unit.cli.rollouts import NOW, rollout

HELD = replace(rollout(), selector="all")
ASKED = RolloutRequested(
    rollout_id=RolloutId("r-1"),
    model=model_selector("detector:2.0"),
    selector="all",
    strategy=Strategy.CANARY,
    policy=RolloutPolicy(),
    requested_at=NOW,
)


def test_the_same_request_is_the_same_rollout_also_by_an_alias_that_moved() -> None:
    assert asked_otherwise(ASKED, HELD) == ""
    assert asked_otherwise(replace(ASKED, model=model_selector("detector@stable")), HELD) == ""
    grown = replace(HELD, robots={**HELD.robots, RobotId("arm-9"): HELD.robots[RobotId("arm-3")]})
    assert asked_otherwise(ASKED, grown) == ""


@pytest.mark.parametrize(
    ("request_", "what"),
    [
        (replace(ASKED, model=model_selector("detector:2.1")), "model"),
        (replace(ASKED, selector="site=lab"), "selector"),
        (replace(ASKED, policy=RolloutPolicy(interlocks=("docked",))), "policy"),
        (
            replace(ASKED, strategy=Strategy.ROLLING, policy=RolloutPolicy(bake_s=1)),
            "strategy, policy",
        ),
    ],
)
def test_another_request_under_the_id_is_named_by_what_differs(
    request_: RolloutRequested, what: str
) -> None:
    assert asked_otherwise(request_, HELD) == what


def test_a_set_of_other_models_is_another_request() -> None:
    segmenter = replace(HELD.model, name=ModelName("segmenter"))
    held = replace(HELD, together=(Member(model=segmenter, digest=HELD.digest),))
    for same in ("segmenter:2.0", "segmenter@stable"):
        assert asked_otherwise(replace(ASKED, together=(model_selector(same),)), held) == ""
    assert asked_otherwise(ASKED, held) == "set of models"
    for other in ("segmenter:2.1", "speech@stable"):
        asked = replace(ASKED, together=(model_selector(other),))
        assert asked_otherwise(asked, held) == "set of models"
