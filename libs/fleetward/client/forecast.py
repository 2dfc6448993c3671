"""When a planned rollout would end, if all goes well: from its policy and what its robots fetch. Pure.

A wave takes as long as its slowest robot fetches, warms up and proves the model, and then bakes. In a
rolling one the robots follow each other, so many at a time. A blue-green one stages everywhere before
its waves switch, an A/B or shadow one is held for its time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from msgspec import Struct

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

    waves: tuple[WaveForecast, ...]
    assumptions: tuple[str, ...]

    @property
    def fetch_bytes(self) -> int:
        """What the whole rollout moves, without site caches."""
        return sum(wave.fetch_bytes for wave in self.waves)

    @property
    def takes_s(self) -> float:
        """From the start to the end of the last wave that gets the model."""
        return max((wave.ends_after_s for wave in self.waves), default=0.0)


def forecast(plan: RolloutPlanned, fetches: Mapping[RobotId, int], pace: Pace) -> Forecast:
    """What each wave takes; ``fetches`` are the bytes of each of its robots."""
    waves = plan.waves[:1] if plan.strategy is Strategy.A_B else plan.waves
    passed_s = _staging_s(plan, fetches, pace)
    found: list[WaveForecast] = []
    for wave in waves:
        of_each = [fetches[robot] for robot in wave.robots]
        passed_s += _wave_s(plan, wave, fetches, pace)
        found.append(
            WaveForecast(
                robots=len(wave.robots),
                sites=wave.sites,
                fetch_bytes=sum(of_each),
                fetch_s=max(map(pace.fetch_s, of_each)),
                ends_after_s=passed_s,
            )
        )
    return Forecast(waves=tuple(found), assumptions=_assumptions(plan, pace))


def _staging_s(plan: RolloutPlanned, fetches: Mapping[RobotId, int], pace: Pace) -> float:
    if plan.strategy is not Strategy.BLUE_GREEN or not plan.waves:
        return 0.0
    everybody = [robot for wave in plan.waves for robot in wave.robots]
    return max(pace.fetch_s(fetches[robot]) for robot in everybody) + pace.typical_warm_up_s()


def _wave_s(
    plan: RolloutPlanned, wave: PlannedWave, fetches: Mapping[RobotId, int], pace: Pace
) -> float:
    policy = plan.policy
    proof_s = policy.proof_inferences / ASSUMED_INFERENCES_PER_S
    each_s = {
        robot: pace.fetch_s(fetches[robot]) + pace.typical_warm_up_s() + proof_s
        for robot in wave.robots
    }
    match plan.strategy:
        case Strategy.BLUE_GREEN:
            return policy.switch_lead_s + proof_s + policy.bake_s
        case Strategy.ROLLING:
            return _rolling_s(plan, wave, each_s) + policy.bake_s
        case Strategy.SHADOW | Strategy.A_B:
            return max(each_s.values()) + policy.hold_s
        case _:
            return max(each_s.values()) + policy.bake_s


def _rolling_s(plan: RolloutPlanned, wave: PlannedWave, each_s: Mapping[RobotId, float]) -> float:
    """The longest queue: everybody's places, or those of the largest site."""
    slowest_s, policy = max(each_s.values()), plan.policy
    rounds = [math.ceil(len(wave.robots) / policy.max_unavailable)]
    rounds += [math.ceil(held / policy.max_unavailable_per_site) for held in wave.sites.values()]
    mean_s = sum(each_s.values()) / len(each_s)
    return max((max(rounds) - 1) * mean_s + slowest_s, slowest_s)


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
        "nobody fails, is silent, or waits for an interlock, a window or a floor",
    ]
    if plan.policy.gates:
        named = ", ".join(gate.name for gate in plan.policy.gates)
        said.append(f"gates that pass at once: {named}")
    return tuple(said)
