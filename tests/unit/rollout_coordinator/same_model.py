"""Many rollouts at once, as numbers: robots that differ, resemble themselves, and share a site.

Latency and confidence of a robot's one-second windows: its site's level, its own, an AR(1) wander
of its own, a slow wave that all robots of the site share, and the noise of so many inferences.
Errors come in bursts, and more often on some robots than on others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from fleetward.contracts.compared import ALWAYS, Metric
from fleetward.contracts.evidence import CohortEvidence, Evidence, Spread, Stratum
from fleetward.contracts.rollouts import RolloutPolicy
from rollout_coordinator.looks import is_due
from rollout_coordinator.verdict import condemnation

Values = NDArray[np.float64]


class World(Struct, frozen=True, kw_only=True):
    """A fleet; sites as (canary robots, control robots) each. Spreads are standard deviations."""

    sites: tuple[tuple[int, int], ...]
    before_windows: int = 10
    windows: int = 40
    inferences_per_window: int = 30
    site_spread: float = 0.3
    robot_spread: float = 0.08
    wander: float = 0.08
    memory: float = 0.8
    """Of the AR(1) wander, from one window to the next."""
    shared_wander: float = 0.1
    error_rate: float = 0.004
    error_spread: float = 0.7
    burstiness: float = 1.0
    slower: float = 0.0
    added_errors: float = 0.0

    @property
    def robots(self) -> int:
        """All of them."""
        return sum(canary + control for canary, control in self.sites)


class Said(Struct, frozen=True):
    """Per metric of ``ALWAYS``: counts and totals [rollouts, robots, windows] of each window."""

    counts: tuple[Values, ...]
    totals: tuple[Values, ...]
    site: NDArray[np.int64]
    is_canary: NDArray[np.bool_]


def said(chance: np.random.Generator, world: World, rollouts: int) -> Said:
    """What the robots of ``rollouts`` rollouts say; the model is swapped after before_windows."""
    site = np.repeat(np.arange(len(world.sites)), [sum(pair) for pair in world.sites])
    is_canary = np.concatenate([np.arange(sum(pair)) < pair[0] for pair in world.sites])
    shape = (rollouts, world.robots, world.before_windows + world.windows)
    swapped = np.zeros(shape, dtype=bool)
    swapped[:, is_canary, world.before_windows :] = True
    inferences = np.full(shape, world.inferences_per_window, dtype=float)
    rates = _levels(chance, world, shape, site, world.error_spread, world.burstiness)
    rates = np.clip(world.error_rate * np.exp(rates - 0.5) + world.added_errors * swapped, 0, 1)
    errors = chance.binomial(world.inferences_per_window, rates).astype(float)
    good = inferences - errors
    latency = _levels(chance, world, shape, site, world.robot_spread, world.wander)
    noise = 0.3 / np.sqrt(np.maximum(good, 1)) * chance.standard_normal(shape)
    latency_ms = 20 * np.exp(latency + noise) * (1 + world.slower * swapped)
    unsure = _levels(chance, world, shape, site, world.robot_spread, world.wander)
    confidence = np.clip(0.8 - 0.3 * unsure, 0.01, 1)
    return Said(
        counts=(good, inferences, good),
        totals=(good * latency_ms, errors, good * confidence),
        site=site,
        is_canary=is_canary,
    )


def condemned_at(said: Said, world: World, policy: RolloutPolicy, waves: int) -> list[int | None]:
    """For each rollout, after how many windows since the swap its canary is condemned, if ever."""
    rollouts = said.counts[0].shape[0]
    found: list[int | None] = [None] * rollouts
    at_look = Evidence()
    for window in range(1, world.windows + 1):
        at_look = _with_totals(at_look, said, world, window)
        canary = int(said.is_canary.sum())
        if not is_due(at_look, canary, world.robots - canary, policy.min_inferences):
            continue
        at_look = replace(at_look, looks=at_look.looks + 1, looked_at_windows=at_look.windows)
        looked = replace(at_look, is_look=True)
        for rollout, each in enumerate(strata(said, world, window)):
            if found[rollout] is None and condemnation(replace(looked, strata=each), policy, waves):
                found[rollout] = window
    return found


def _with_totals(evidence: Evidence, said: Said, world: World, window: int) -> Evidence:
    canary, each = int(said.is_canary.sum()), world.inferences_per_window
    return replace(
        evidence,
        windows=canary * window,
        control_windows=(world.robots - canary) * window,
        canary=CohortEvidence(inferences=canary * window * each),
        control=CohortEvidence(inferences=(world.robots - canary) * window * each),
    )


def strata(said: Said, world: World, window: int) -> Iterator[dict[str, Stratum]]:
    """Each rollout's strata as they stand ``window`` windows after the swap."""
    columns = {
        (site, canary): [
            _columns(said, world, metric, place, (said.site == site) & (said.is_canary == canary))
            for place, metric in enumerate(_at(window))
        ]
        for site in range(len(world.sites))
        for canary in (True, False)
    }
    for rollout in range(said.counts[0].shape[0]):
        yield {
            f"{site}/": Stratum(
                f"{site}",
                "",
                tuple(_spread(each[rollout]) for each in columns[site, True]),
                tuple(_spread(each[rollout]) for each in columns[site, False]),
            )
            for site in range(len(world.sites))
        }


def _at(window: int) -> tuple[tuple[Metric, int], ...]:
    return tuple((metric, window) for metric in ALWAYS)


def _columns(
    said: Said,
    world: World,
    metric_at: tuple[Metric, int],
    place: int,
    chosen: NDArray[np.bool_],
) -> list[tuple[float, ...]]:
    """A Spread's fields for every rollout."""
    metric, window = metric_at
    cut, end = world.before_windows, world.before_windows + window
    counts, totals = said.counts[place][:, chosen], said.totals[place][:, chosen]
    count, total = counts[:, :, cut:end].sum(2), totals[:, :, cut:end].sum(2)
    x = _scaled(metric, total / np.maximum(count, 1))
    robots = np.full(len(x), x.shape[1], dtype=float)
    if not cut:
        nothing = np.zeros(len(x))
        fields = [robots, x.sum(1), (x * x).sum(1), *[nothing] * 5, count.sum(1), total.sum(1)]
    else:
        b = _scaled(metric, totals[:, :, :cut].sum(2) / np.maximum(counts[:, :, :cut].sum(2), 1))
        fields = [
            *(robots, x.sum(1), (x * x).sum(1), robots, x.sum(1)),
            *(b.sum(1), (b * b).sum(1), (x * b).sum(1), count.sum(1), total.sum(1)),
        ]
    return list(zip(*(field.tolist() for field in fields), strict=True))


def _spread(fields: tuple[float, ...]) -> Spread:
    robots, x, xx, paired, x_paired, b, bb, xb, count, total = fields
    return Spread(int(robots), x, xx, int(paired), x_paired, b, bb, xb, int(count), total)


def _scaled(metric: Metric, means: Values) -> Values:
    return means if metric.floor is None else np.log(means + metric.floor)


def _levels(
    chance: np.random.Generator,
    world: World,
    shape: tuple[int, int, int],
    site: NDArray[np.int64],
    robot_spread: float,
    wander: float,
) -> Values:
    """Deviations [rollouts, robots, windows] of each robot's windows from the fleet's usual."""
    rollouts, robots, windows = shape
    sites = (rollouts, len(world.sites))
    of_site = world.site_spread * chance.standard_normal((*sites, 1))
    shared = _wandering(chance, (*sites, windows), world.shared_wander, 0.95)
    own = robot_spread * chance.standard_normal((rollouts, robots, 1))
    return (of_site + shared)[:, site] + own + _wandering(chance, shape, wander, world.memory)


def _wandering(
    chance: np.random.Generator, shape: tuple[int, ...], spread: float, memory: float
) -> Values:
    """AR(1) along the last axis, with this standard deviation at every moment."""
    steps = spread * chance.standard_normal(shape)
    for window in range(1, shape[-1]):
        fresh = np.sqrt(1 - memory**2) * steps[..., window]
        steps[..., window] = memory * steps[..., window - 1] + fresh
    return steps
