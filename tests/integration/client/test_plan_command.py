"""`rollout plan` and `rollout start --dry-run` show one plan, to people and to machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetward.bus.last_values import last_values
from fleetward.bus.requests import answer
from fleetward.contracts.ids import ModelRef, RobotId, Version
from fleetward.contracts.rollout_plans import PlannedWave, PlanRollout, RobotGroup, RolloutPlanned
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.client.test_command_line import fleetward
from tests.integration.client.test_quote import AFTER, NAME, system

__all__ = ["system"]

TO = ("--to", "site in (quote-berlin, quote-oslo)", "--bake", "60s")


@pytest.fixture
async def planning(system: NatsSystem) -> NatsSystem:
    """A coordinator that plans two waves, and nothing for Mars."""
    coordinator = await system.connect(Principal.COORDINATOR)

    async def planned(asked: PlanRollout) -> RolloutPlanned:
        request = asked.request
        empty = RolloutPlanned(strategy=request.strategy, policy=request.policy, enrolled=4)
        if "mars" in request.selector and not request.again:
            return RolloutPlanned(
                refusal="nobody is there.", strategy=empty.strategy, policy=empty.policy
            )
        return RolloutPlanned(
            model=ModelRef(NAME, Version("2.0")),
            digest=AFTER,
            strategy=request.strategy,
            policy=request.policy,
            enrolled=4,
            selected=4,
            waves=(
                PlannedWave(robots=(RobotId("arm-1"),), sites={"quote-berlin": 1}),
                PlannedWave(
                    robots=(RobotId("arm-2"), RobotId("arm-3")),
                    sites={"quote-berlin": 1, "quote-oslo": 1},
                ),
            ),
            left_out=(
                RobotGroup(reason="was already given it", robots=1, named=(RobotId("arm-4"),)),
            ),
        )

    await answer(coordinator, PlanRollout, planned)
    return system


async def test_people_see_waves_sites_bytes_times_and_who_is_left_out(
    planning: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    ran = await fleetward(
        home_of(planning), *("rollout", "plan", f"{NAME}:2.0", *TO, "--link-mbps", "8")
    )

    assert ran.code == 0, ran.complaint
    rows = [" ".join(line.split()) for line in ran.output.splitlines()]
    # A wave: its slowest fetch, 10 s to warm up, 2 s to prove, 60 s to bake.
    assert rows[0] == (
        f"{NAME}:2.0 by canary to 3 of 4 selected robots in 2 waves: 96.0 MB, through in about 4 min."
    )
    assert rows[2] == "1 1 quote-berlin:1 3.0 MB 3 s 75 s"
    assert rows[3] == "2 2 quote-berlin:1 quote-oslo:1 93.0 MB 90 s 4 min"
    assert rows[4] == "Left out: arm-4: was already given it."
    assert "Assumed: a link of 8 Mbit/s for each robot" in rows[5]


async def test_a_dry_run_gives_machines_the_same_and_starts_nothing(
    planning: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    home = home_of(planning)
    dry = await fleetward(home, "rollout", "start", f"{NAME}:2.0", *TO, "--dry-run", "--json")
    plan = await fleetward(home, "rollout", "plan", f"{NAME}:2.0", *TO, "--json")

    assert dry.code == 0, dry.complaint
    found = json.loads(dry.output)
    assert found == json.loads(plan.output)
    assert found["waves"][1]["robots"] == ["arm-2", "arm-3"]
    assert found["waves"][1]["fetch_bytes"] == 93_000_000
    assert found["left_out"] == [
        {"reason": "was already given it", "robots": 1, "named": ["arm-4"]}
    ]
    people = await planning.connect(Principal.OPERATOR)
    rollouts = [value.event for value in await last_values(people, Rollout)]
    assert not [rollout for rollout in rollouts if rollout.model.name == NAME]


async def test_a_plan_that_is_refused_ends_with_the_reason_and_code_1(
    planning: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    ran = await fleetward(home_of(planning), "rollout", "plan", f"{NAME}:2.0", "--to", "site=mars")
    assert ran.code == 1
    assert "nobody is there." in ran.complaint


async def test_what_was_given_already_is_planned_anew_with_again(
    planning: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    ran = await fleetward(
        home_of(planning), "rollout", "plan", f"{NAME}:2.0", "--to", "site=mars", "--again"
    )
    assert ran.code == 0, ran.complaint
