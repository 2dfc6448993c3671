"""A robot dies at every moment of a switch of two models, and of its return: killed with -9, and without power.

Afterwards both serve, both old or both new, with the hub or without.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleetward.contracts.robots import ModelActivated
from testkit.servers import NatsSystem
from tests.faults.mortal_set import FETCHED, LEFT, OWN, WRITING
from tests.faults.set_robot import (
    COMMITS,
    LIVES_LIMIT,
    Robot,
    assert_survives_power_cuts,
    assert_whole,
    digests,
    own_of,
    pair_of,
    running_robot,
    serving,
)
from tests.integration.edge_bridge.test_model_set import aim_both
from tests.integration.edge_bridge.test_pipelines import SEGMENTER, activated

pytestmark = pytest.mark.slow

WINDOW_S = 60.0
STEPS = ("fetch", "stage", "prove")
"""Those that each of the two has to take for itself."""
RESTORE = "restore"
RETURNS = {f"{when}{LEFT}-{of}" for when in (f"{WRITING}-", "") for of in (OWN, SEGMENTER)}


@pytest.fixture
async def robot(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Robot]:
    async with running_robot(nats_system, tmp_path) as robot:
        yield robot


async def test_two_models_serve_old_or_new_after_death_at_every_moment_of_their_switch(
    robot: Robot, tmp_path: Path
) -> None:
    fleet = robot.fleet
    first, second = pair_of(fleet, "v1", 1.0), pair_of(fleet, "v2", 0.5)
    old, new = digests(first), digests(second)
    await aim_both(fleet, *first, 1)
    for each in first:
        await activated(fleet, each)
    await robot.die()

    before = len(robot.said())
    await aim_both(fleet, *second, 2, health_window_s=WINDOW_S)
    while await robot.dies_before(new):
        assert_whole(robot.disk.place, old, new)
        assert len(robot.moments) < LIVES_LIMIT
    await robot.die()

    both = {f"{step}-{of}" for step in STEPS for of in (OWN, SEGMENTER)}
    assert both | COMMITS <= set(robot.moments)
    kinds = {part for moment in robot.moments for part in moment.split("-")}
    assert kinds >= {FETCHED, "swap"}
    for said in robot.said()[before:]:
        for pipeline, allowed in zip(serving(said), zip(old, new, strict=True), strict=True):
            assert pipeline in {None, *allowed}, "None: its worker is loading at a start"
    told = [fact.digest for fact in fleet.heard if isinstance(fact, ModelActivated)]
    assert Counter(told) == Counter((*old, *new)), "each is told of once"
    await assert_survives_power_cuts(robot, tmp_path / "scratch", old, new)


async def test_two_models_are_left_together_at_every_moment_of_their_return(
    robot: Robot, tmp_path: Path
) -> None:
    fleet = robot.fleet
    first, second = pair_of(fleet, "v1", 1.0), pair_of(fleet, "v2", 0.5)
    old, new = digests(first), digests(second)
    generation, died = 1, True
    await aim_both(fleet, *first, generation)
    for each in first:
        await activated(fleet, each)
    while died:
        await robot.die()
        generation += 1
        await aim_both(fleet, *second, generation, health_window_s=WINDOW_S)
        died = await robot.dies_as_it_returns(new, generation)
        own = assert_whole(robot.disk.place, old, new)
        assert died or own == old
        assert len(robot.moments) < LIVES_LIMIT
        generation += 1
        await aim_both(fleet, *first, generation)
        if died:
            robot.live(mortal=False)
        for digest in old:
            await robot.hears(ModelActivated, "digest", digest, generation)
    assert set(robot.moments) == RETURNS
    await assert_survives_power_cuts(robot, tmp_path / "scratch", old, new)


async def test_a_robot_that_dies_as_one_is_restored_because_the_other_rotted_starts_with_both(
    robot: Robot,
) -> None:
    fleet = robot.fleet
    first, second = pair_of(fleet, "v1", 1.0), pair_of(fleet, "v2", 0.5)
    for generation, pair in enumerate((first, second), 1):
        await aim_both(fleet, *pair, generation)
        for each in pair:
            await activated(fleet, each)
    await robot.die()
    (rotten,) = robot.disk.place.glob(f"models/{second[0].digest.partition(':')[2]}.model")
    rotten.write_bytes(b"rotten")
    robot.live(mortal=True, kind=RESTORE)
    await robot.child.wait()
    assert [each.stem.partition("-")[2] for each in robot.left.iterdir()] == [
        f"{RESTORE}-{SEGMENTER}"
    ]
    assert own_of(robot.disk.place) == digests(first)
    robot.live(mortal=False)
    await robot.serves(digests(first))
