"""In which waves robots get a model, by strategy. Pure, and the same robots go first every time."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from itertools import accumulate
from typing import TypeVar

from fleetward.contracts.ids import RobotId
from fleetward.contracts.policies import ALL_PERCENT
from fleetward.contracts.registry import Variant
from fleetward.contracts.rollouts import RolloutPolicy, Strategy, SwitchScope
from rollout_coordinator.errors import PlanRefusedError

Waves = tuple[tuple[RobotId, ...], ...]
_Key = TypeVar("_Key", bound=Hashable)


def waves_of(
    strategy: Strategy,
    policy: RolloutPolicy,
    given: Mapping[RobotId, Variant],
    sites: Mapping[RobotId, str],
) -> Waves:
    """Every robot in exactly one wave, no wave empty; raises PlanRefusedError.

    A canary tries every variant that is ``given``, so its wave has at least one robot of each.
    """
    cohort = sorted(given, key=cohort_order)
    first = {given[robot]: robot for robot in reversed(cohort)}
    ordered = sorted(cohort, key=lambda robot: first[given[robot]] != robot)
    match strategy:
        case Strategy.CANARY:
            sizes = _canary_sizes(len(ordered), policy)
            reached = [max(upto, len(first)) for upto in accumulate(sizes)]
            return _cut(ordered, _steps(len(ordered), reached))
        case Strategy.A_B:
            alike = {robot: (sites[robot], it) for robot, it in given.items()}
            return _split(cohort, policy.split_percent, alike)
        case Strategy.BLUE_GREEN if policy.switch is SwitchScope.SITE:
            return tuple(tuple(of) for _, of in sorted(_grouped(ordered, sites).items()))
        case _:
            return (tuple(ordered),)


def wave_sizes(robots: int, percents: Sequence[int]) -> tuple[int, ...]:
    """How many robots each wave adds: cumulative percents, rounded up, never an empty wave."""
    return _steps(robots, [math.ceil(robots * percent / ALL_PERCENT) for percent in percents])


def growing_sizes(robots: int, growth: float) -> tuple[int, ...]:
    """One robot, then each wave ``growth`` times as large as the one before, at least one more."""
    sizes: list[int] = []
    size = 1.0
    while sum(sizes) < robots:
        sizes.append(min(math.ceil(size), robots - sum(sizes)))
        size = max(size * growth, sizes[-1] + 1)
    return tuple(sizes)


def _canary_sizes(robots: int, policy: RolloutPolicy) -> tuple[int, ...]:
    if policy.wave_counts:
        return _steps(robots, (*policy.wave_counts, robots))
    if policy.wave_growth is not None:
        return growing_sizes(robots, policy.wave_growth)
    return wave_sizes(robots, policy.wave_percents)


def _steps(robots: int, cumulative: Sequence[int]) -> tuple[int, ...]:
    sizes: list[int] = []
    reached = 0
    for upto in cumulative:
        capped = min(robots, upto)
        if capped > reached:
            sizes.append(capped - reached)
            reached = capped
    return tuple(sizes)


def _cut(ordered: Sequence[RobotId], sizes: Sequence[int]) -> Waves:
    waves: list[tuple[RobotId, ...]] = []
    for size in sizes:
        waves.append(tuple(ordered[:size]))
        ordered = ordered[size:]
    return tuple(waves)


def _split(ordered: Sequence[RobotId], percent: int, alike: Mapping[RobotId, Hashable]) -> Waves:
    """The same share of every site and variant: the halves differ in the model and in little else."""
    if len(ordered) < 2:
        raise PlanRefusedError(
            "an a-b rollout compares robots with each other, and the selector matches one. "
            "Select more."
        )
    place = {
        robot: (number + 1) / len(of)
        for of in _grouped(ordered, alike).values()
        for number, robot in enumerate(of)
    }
    mixed = sorted(ordered, key=lambda robot: (place[robot], cohort_order(robot)))
    size = min(max(1, round(len(mixed) * percent / ALL_PERCENT)), len(mixed) - 1)
    return _cut(mixed, (size, len(mixed) - size))


def _grouped(ordered: Sequence[RobotId], by: Mapping[RobotId, _Key]) -> dict[_Key, list[RobotId]]:
    grouped: dict[_Key, list[RobotId]] = defaultdict(list)
    for robot in ordered:
        grouped[by[robot]].append(robot)
    return grouped


def cohort_order(robot: RobotId) -> str:
    """A stable shuffle: the same robots go first in every rollout, and not by their names."""
    return hashlib.sha256(robot.encode()).hexdigest()
