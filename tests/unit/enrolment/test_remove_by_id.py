"""Robots removed by their ids alone: one that cannot go now keeps none of the others."""

from __future__ import annotations

import json
from typing import cast

import pytest

from fleetward.bus.errors import NoAnswerError
from fleetward.cli.robot_remove import show_unseen
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.enrolment.hub import Hub
from fleetward.enrolment.plan import Known
from fleetward.enrolment.remove import Unseen, remove_each_unseen
from fleetward.enrolment.result import Outcome

HELD, UNREACHABLE, GONE = RobotId("arm-2"), RobotId("arm-3"), RobotId("arm-4")
ARMS = [RobotId(f"arm-{number}") for number in range(1, 6)]


class Fleet:
    """A hub where a rollout counts on arm-2, arm-3 is not answered for, and arm-4 is out already."""

    def __init__(self) -> None:
        self.revoked: list[RobotId] = []

    async def owner(self, robot: RobotId) -> RolloutId | None:
        if robot == UNREACHABLE:
            raise NoAnswerError("nobody answered.")
        return RolloutId("r-1") if robot == HELD else None

    async def known(self, robot: RobotId) -> Known:
        labels: dict[str, str] | None = None if robot == GONE else {}
        return Known(labels=labels, was_heard=False, credentials=None)

    async def revoke(self, robot: RobotId) -> None:
        self.revoked.append(robot)


async def ended_of(fleet: Fleet) -> list[Unseen]:
    return await remove_each_unseen(cast(Hub, fleet), ARMS)


async def test_all_are_gone_through_and_each_has_its_outcome() -> None:
    fleet = Fleet()
    ended = await ended_of(fleet)
    assert fleet.revoked == [ARMS[0], ARMS[4]]
    assert [(each.robot, each.outcome) for each in ended] == [
        (ARMS[0], Outcome.DONE),
        (HELD, Outcome.FAILED),
        (UNREACHABLE, Outcome.FAILED),
        (GONE, Outcome.UNCHANGED),
        (ARMS[4], Outcome.DONE),
    ]
    assert "belongs to rollout r-1" in ended[1].reason
    assert ended[2].reason == "nobody answered."


async def test_each_is_shown_in_its_order_to_people_and_to_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = await ended_of(Fleet())
    show_unseen(ended, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[0] for line in lines] == ARMS
    assert lines[0].endswith("its key is void and it is out of the fleet")
    assert "not removed: arm-2 belongs to rollout r-1" in lines[1]
    show_unseen(ended, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert [each["result"] for each in told] == ["done", "failed", "failed", "unchanged", "done"]
    assert told[2]["reason"] == "nobody answered."
