"""When a planned rollout would end, if all goes well: from its policy and what its robots fetch. Pure.

A wave takes as long as its slowest robot fetches, warms up and proves the model, and then bakes. In a
rolling one the robots follow each other, so many at a time. A blue-green one stages everywhere before
its waves switch, an A/B or shadow one is held for its time. Nobody is given anything while the window of
its site is closed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median

from msgspec import Struct

from fleetward.client.opening_times import OpeningTimes
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollout_plans import PlannedWave, RolloutPlanned
from fleetward.contracts.rollouts import Strategy

ASSUMED_WARM_UP_S = 10.0
ASSUMED_INFERENCES_PER_S = 10.0
_BITS_PER_BYTE = 8


class Pace(Struct, frozen=True, kw_only=True):
    """How fast robots are believed to be. ``warm_up_s``: seen at earlier activations; empty: never."""

    link_mbps: float
    warm_up_s: Sequence[float] = ()

    def fetch_s(self, fetch_bytes: int) -> float:
        """How long one robot fetches so much."""
        return fetch_bytes * _BITS_PER_BYTE / (self.link_mbps * 1e6)

    def typical_warm_up_s(self) -> float:
        """The median of what was seen, or an assumption."""
        return median(self.warm_up_s) if self.warm_up_s else ASSUMED_WARM_UP_S


class Wait(Struct, frozen=True, kw_only=True):
    """A wave whose turn comes while the window of a site is closed. Wave 0: a blue-green one's staging."""

    wave: int
    site: str
    opens_at: datetime


class WaveForecast(Struct, frozen=True, kw_only=True):
    """One wave: what it moves together, how long its slowest robot fetches, and when it is through.

    ends_after_s: since the rollout's start.
    """

    robots: int
    sites: dict[str, int]
    fetch_bytes: int
    fetch_s: float
    ends_after_s: float


class Forecast(Struct, frozen=True, kw_only=True):
    """Waves in turn; ``assumptions`` says in words what the times rest on."""

    begins_at: datetime
    waves: tuple[WaveForecast, ...]
    waits: tuple[Wait, ...]
    assumptions: tuple[str, ...]

    @property
    def fetch_bytes(self) -> int:
        """What the whole rollout moves, without site caches."""
        return sum(wave.fetch_bytes for wave in self.waves)

    @property
    def takes_s(self) -> float:
        """From the start to the end of the last wave that gets the model."""
        return max((wave.ends_after_s for wave in self.waves), default=0.0)


def forecast(
    plan: RolloutPlanned, fetches: Mapping[RobotId, int], pace: Pace, times: OpeningTimes
) -> Forecast:
    """What each wave takes; ``fetches`` are the bytes of each of its robots."""
    waves = plan.waves[:1] if plan.strategy is Strategy.A_B else plan.waves
    passed_s = _staging_s(plan, fetches, pace, times)
    waits = _staging_waits(plan, times)
    found: list[WaveForecast] = []
    for number, wave in enumerate(waves, 1):
        of_each = [fetches[robot] for robot in wave.robots]
        waits += _waits(number, wave.sites, passed_s, times)
        passed_s = _wave_ends_s(plan, wave, fetches, pace, passed_s, times)
        found.append(
            WaveForecast(
                robots=len(wave.robots),
                sites=wave.sites,
                fetch_bytes=sum(of_each),
                fetch_s=max(map(pace.fetch_s, of_each)),
                ends_after_s=passed_s,
            )
        )
    return Forecast(
        begins_at=times.begins_at,
        waves=tuple(found),
        waits=tuple(waits),
        assumptions=_assumptions(plan, pace),
    )


def _waits(number: int, sites: Iterable[str], passed_s: float, times: OpeningTimes) -> list[Wait]:
    opens = ((site, times.opens_at(site, passed_s)) for site in sorted(sites))
    return [Wait(wave=number, site=site, opens_at=at) for site, at in opens if at is not None]


def _staging_waits(plan: RolloutPlanned, times: OpeningTimes) -> list[Wait]:
    stages = plan.strategy is Strategy.BLUE_GREEN
    return _waits(0, _sites(plan), 0.0, times) if stages else []


def _sites(plan: RolloutPlanned) -> set[str]:
    return {site for wave in plan.waves for site in wave.sites}


def _staging_s(
    plan: RolloutPlanned, fetches: Mapping[RobotId, int], pace: Pace, times: OpeningTimes
) -> float:
    if plan.strategy is not Strategy.BLUE_GREEN or not plan.waves:
        return 0.0
    everybody = [robot for wave in plan.waves for robot in wave.robots]
    given_s = max(times.given_after_s(site, 0.0, 0.0) for site in _sites(plan))
    fetch_s = max(pace.fetch_s(fetches[robot]) for robot in everybody)
    return given_s + fetch_s + pace.typical_warm_up_s()


def _wave_ends_s(
    plan: RolloutPlanned,
    wave: PlannedWave,
    fetches: Mapping[RobotId, int],
    pace: Pace,
    passed_s: float,
    times: OpeningTimes,
) -> float:
    """The last robot is given the model, swaps and proves it, and the wave bakes or is held."""
    policy = plan.policy
    proof_s = policy.proof_inferences / ASSUMED_INFERENCES_PER_S
    each_s = [
        pace.fetch_s(fetches[robot]) + pace.typical_warm_up_s() + proof_s for robot in wave.robots
    ]
    giving_s = _queue_s(plan, wave, each_s) if plan.strategy is Strategy.ROLLING else 0.0
    given_s = max(times.given_after_s(site, passed_s, giving_s) for site in wave.sites)
    match plan.strategy:
        case Strategy.BLUE_GREEN:
            return given_s + policy.switch_lead_s + proof_s + policy.bake_s
        case Strategy.SHADOW | Strategy.A_B:
            return given_s + max(each_s) + policy.hold_s
        case _:
            return given_s + max(each_s) + policy.bake_s


def _queue_s(plan: RolloutPlanned, wave: PlannedWave, each_s: Sequence[float]) -> float:
    """How long the last one waits in the longest queue: everybody's, or that of the largest site."""
    policy = plan.policy
    rounds = [math.ceil(len(wave.robots) / policy.max_unavailable)]
    rounds += [math.ceil(held / policy.max_unavailable_per_site) for held in wave.sites.values()]
    return (max(rounds) - 1) * sum(each_s) / len(each_s)


def _assumptions(plan: RolloutPlanned, pace: Pace) -> tuple[str, ...]:
    seen = len(pace.warm_up_s)
    warm_up = (
        f"{pace.typical_warm_up_s():.1f} s to warm up, the median of {seen} earlier activations"
        if seen
        else f"{ASSUMED_WARM_UP_S:g} s to warm up, as none of these robots activated a model before"
    )
    said = [
        f"a link of {pace.link_mbps:g} Mbit/s for each robot",
        warm_up,
        f"{ASSUMED_INFERENCES_PER_S:g} inferences a second for the {plan.policy.proof_inferences} of "
        "a proof",
        "windows as they are set now, and nobody who fails, is silent, or waits for an interlock or a "
        "floor",
    ]
    if plan.policy.gates:
        named = ", ".join(gate.name for gate in plan.policy.gates)
        said.append(f"gates that pass at once: {named}")
    return tuple(said)
