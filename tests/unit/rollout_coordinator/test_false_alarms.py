"""The same model twice is seldom condemned: 10,000 rollouts, judged every second."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from fleetward.contracts.evidence import Evidence, Spread
from fleetward.contracts.rollouts import RobotPhase, RolloutPolicy
from rollout_coordinator.evidence import with_summary
from tests.unit.rollout_coordinator.same_model import Said, World, condemned_at, said, strata
from tests.unit.rollout_coordinator.scenes import NEW, OLD, at, planned, robot, summary

EXACT = RolloutPolicy(latency_tolerance=0, confidence_tolerance=0, max_added_error_rate=0)
"""No tolerance hides a false alarm."""
ONE_SITE = World(sites=((1, 4),))
MIXED = World(sites=((4, 4), (1, 16)), windows=30)
"""Four fifths of the canary are where a fifth of the control is."""
UNKNOWN_BEFORE = World(sites=((2, 8),), before_windows=0)
PAIRS = World(sites=((1, 1),) * 4)
WILD = World(sites=((3, 6),) * 2, before_windows=3, robot_spread=0.2, wander=0.2, memory=0.95)
FLEETS = ((ONE_SITE, 3000), (MIXED, 2500), (UNKNOWN_BEFORE, 2500), (PAIRS, 1000), (WILD, 1000))


@pytest.mark.parametrize("alpha", [0.01])
def test_10_000_rollouts_of_the_same_model_are_condemned_in_at_most_alpha(alpha: float) -> None:
    chance = np.random.default_rng(11)
    policy = replace(EXACT, alpha=alpha)
    condemned = {
        world: sum(map(bool, condemned_at(said(chance, world, rollouts), world, policy, waves=1)))
        for world, rollouts in FLEETS
    }
    assert sum(rollouts for _, rollouts in FLEETS) == 10_000
    assert sum(condemned.values()) <= alpha * 10_000
    for world, rollouts in FLEETS:
        assert condemned[world] <= most_by_chance(rollouts, alpha), world


def most_by_chance(rollouts: int, alpha: float) -> float:
    """Four standard deviations above alpha: five fleets of a true alpha keep it 9,998 of 10,000 times."""
    return alpha * rollouts + 4 * math.sqrt(alpha * (1 - alpha) * rollouts)


def test_comparing_inferences_instead_of_robots_condemns_most_of_the_same_rollouts() -> None:
    """Why it is not done: at the last look alone, at one percent, with the same numbers."""
    spoken = said(np.random.default_rng(12), ONE_SITE, 500)
    assert np.mean(inferences_differ(spoken, ONE_SITE, deviations=2.58)) > 0.5


def inferences_differ(
    spoken: Said, world: World, deviations: float
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """A two-sample z test of the latency over windows as if each were by itself."""
    means = (spoken.totals[0] / spoken.counts[0])[:, :, world.before_windows :]
    sides = [
        means[:, chosen].reshape(len(means), -1) for chosen in (spoken.is_canary, ~spoken.is_canary)
    ]
    apart = sides[0].mean(1) - sides[1].mean(1)
    error = np.sqrt(sum(side.var(1) / side.shape[1] for side in sides))
    result: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.abs(apart) > deviations * error
    return result


@pytest.mark.parametrize(
    ("regress", "within"),
    [({"slower": 1.0}, 2), ({"added_errors": 0.05}, 60), ({"slower": 0.5}, 10)],
)
def test_regression_on_twenty_robots_is_found_in_nearly_all_rollouts(
    regress: dict[str, float], within: int
) -> None:
    world = replace(World(sites=((12, 48), (8, 32)), windows=60), **regress)
    spoken = said(np.random.default_rng(13), world, 40)
    found = condemned_at(spoken, world, RolloutPolicy(), waves=3)
    assert sum(at is not None and at <= within for at in found) >= 38


def test_numbers_that_are_judged_at_once_are_those_of_windows_told_one_by_one() -> None:
    """What the simulation hands to the verdict is what the real evidence makes of its windows."""
    spoken = said(np.random.default_rng(14), SMALL, 1)
    evidence = told_one_by_one(spoken)
    (at_once,) = strata(spoken, SMALL, SMALL.windows)
    assert evidence.strata.keys() == at_once.keys()
    for key, stratum in at_once.items():
        sides = (
            (stratum.canary, evidence.strata[key].canary),
            (stratum.control, evidence.strata[key].control),
        )
        for wanted, seen in sides:
            for one, other in zip(wanted, seen, strict=True):
                for field in Spread.__struct_fields__:
                    assert getattr(other, field) == pytest.approx(getattr(one, field), rel=1e-6)


SMALL = World(sites=((2, 3), (1, 2)), before_windows=3, windows=4)


def told_one_by_one(spoken: Said) -> Evidence:
    """The real evidence of the first rollout's windows, in the order of time."""
    canary, control = np.flatnonzero(spoken.is_canary), np.flatnonzero(~spoken.is_canary)
    numbers = {int(place): number for number, place in enumerate([*canary, *control], 1)}
    rollout = planned(len(canary), len(control))
    robots = {
        robot(number): replace(
            rollout.robots[robot(number)],
            site=str(spoken.site[place]),
            phase=RobotPhase.TARGETED if spoken.is_canary[place] else RobotPhase.WAITING,
        )
        for place, number in numbers.items()
    }
    rollout = replace(rollout, robots=robots)
    for turn in range(SMALL.before_windows + SMALL.windows):
        for place, number in numbers.items():  # the canary first, as it begins the comparison
            swapped = turn >= SMALL.before_windows and bool(spoken.is_canary[place])
            counts, totals = (
                [float(of[0, place, turn]) for of in each]
                for each in (spoken.counts, spoken.totals)
            )
            window = replace(
                summary(
                    number, turn, NEW if swapped else OLD, int(counts[1]), errors=int(totals[1])
                ),
                latency_ms_sum=totals[0],
                confidence_sum=totals[2],
            )
            rollout = replace(rollout, evidence=with_summary(rollout, window, at(turn)))
    return rollout.evidence
