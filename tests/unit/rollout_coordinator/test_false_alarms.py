"""The same model twice is seldom condemned: 10,000 rollouts, judged every second, at two alphas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from msgspec.structs import replace

from fleetward.contracts.rollouts import RolloutPolicy
from tests.unit.rollout_coordinator.same_model import Said, World, condemned_at, said

EXACT = RolloutPolicy(latency_tolerance=0, confidence_tolerance=0, max_added_error_rate=0)
"""No tolerance hides a false alarm."""
ONE_SITE = World(sites=((1, 4),))
MIXED = World(sites=((4, 4), (1, 16)), windows=30)
"""Four fifths of the canary are where a fifth of the control is."""
UNKNOWN_BEFORE = World(sites=((2, 8),), before_windows=0)
PAIRS = World(sites=((1, 1),) * 4)
WILD = World(sites=((3, 6),) * 2, before_windows=3, robot_spread=0.2, wander=0.2, memory=0.95)
FLEETS = ((ONE_SITE, 3000), (MIXED, 2500), (UNKNOWN_BEFORE, 2500), (PAIRS, 1000), (WILD, 1000))


@pytest.mark.parametrize("alpha", [0.05, 0.01])
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
