"""What thousands of robots say at once is told shard by shard, and of one shard as it came."""

from __future__ import annotations

from datetime import datetime
from random import Random

from msgspec.structs import replace

from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import ModelActivated
from fleetward.contracts.rollout_rows import ROBOTS_PER_SHARD
from rollout_coordinator.fold import Told
from rollout_coordinator.shard_order import shard_by_shard
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator.scenes import NEW, START, activated, at, planned, summary

SHARDS = 4
ROLLOUT = planned(SHARDS * ROBOTS_PER_SHARD)


def said(robots: int) -> list[tuple[ModelActivated, datetime]]:
    """Two words of each robot, mixed."""
    words = [
        (activated(number, generation), at(number))
        for number in range(1, robots + 1)
        for generation in (5, 6)
    ]
    Random(1).shuffle(words)
    return words


def test_robots_of_a_shard_are_told_together_and_in_the_order_in_which_they_spoke() -> None:
    told = said(SHARDS * ROBOTS_PER_SHARD)
    ordered = shard_by_shard(ROLLOUT, told)
    names = list(ROLLOUT.robots)
    for shard in range(SHARDS):
        members = {*names[shard * ROBOTS_PER_SHARD : (shard + 1) * ROBOTS_PER_SHARD]}
        of_shard = [each for each in told if each[0].robot_id in members]
        start = shard * len(of_shard)
        assert ordered[start : start + len(of_shard)] == of_shard


def test_what_is_not_said_by_a_robot_of_the_rollout_comes_first() -> None:
    told = said(ROBOTS_PER_SHARD)
    stranger = (replace(activated(1), robot_id=RobotId("stranger")), START)
    ordered = shard_by_shard(ROLLOUT, [*told, stranger, (Tick(), START)])
    assert ordered[:2] == [stranger, (Tick(), START)]
    assert sorted(map(id, ordered[2:])) == sorted(map(id, told))


def test_few_words_stay_as_they_came() -> None:
    told = said(ROBOTS_PER_SHARD // 2)
    assert shard_by_shard(ROLLOUT, told) == told


def test_telemetry_stays_as_it_came_so_that_robots_are_compared_as_of_one_moment() -> None:
    names = range(SHARDS * ROBOTS_PER_SHARD, 0, -1)
    told: list[Told] = [(summary(number, 1, NEW), START) for number in names]
    assert shard_by_shard(ROLLOUT, told) is told
