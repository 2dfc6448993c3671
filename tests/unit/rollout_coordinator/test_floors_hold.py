"""Two rollouts at one site, robots that die, two replicas: the floor holds, and every run ends."""

from __future__ import annotations

from collections import Counter

import pytest

from fleetward.contracts.rollouts import RolloutState
from tests.unit.rollout_coordinator.floor_world import World

SEEDS = 1_000
PARTS = 4
LIMIT_S = 2_000


@pytest.mark.parametrize("part", range(PARTS))
def test_capable_robots_never_fall_below_the_floor_by_us_and_every_run_ends(part: int) -> None:
    counted: Counter[str] = Counter()
    for seed in range(part, SEEDS, PARTS):
        world = World(seed)
        world.run(LIMIT_S)
        assert world.has_ended, f"seed {seed}: {world.rollouts}"
        assert not world.row.away, f"seed {seed}: {world.row}"
        counted += world.counted
        counted += Counter(rollout.state.value for rollout in world.rollouts.values())
    print(dict(counted))  # noqa: T201 (how much was tried)
    assert min(counted["taken"], counted["withheld"], counted["conflicts"]) > SEEDS // PARTS // 2
    assert {RolloutState.SUCCEEDED.value, RolloutState.REVERTED.value} <= set(counted)


def test_without_comparing_the_row_two_decisions_take_the_last_place() -> None:
    with pytest.raises(AssertionError, match="capable"):
        for seed in range(SEEDS):
            World(seed, compares=False).run(LIMIT_S)
