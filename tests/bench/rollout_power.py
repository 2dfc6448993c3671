"""Simulated rollouts judged every second by the real verdict: detection delay and false alarms.

Robots differ by 8 %, wander by 8 % for seconds, share a wave of 10 % with their site, and err in
bursts; a control robot for each quarter of a canary robot; two sites with another mix each.
"""

from __future__ import annotations

import statistics

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.rollouts import RolloutPolicy
from tests.bench.measurement import Measurement
from tests.unit.rollout_coordinator.same_model import World, condemned_at, said

WAVES = 3
WINDOWS = 120
CONTROL_PER_CANARY = 4
CANARIES = {1: 200, 5: 200, 20: 100, 100: 30}
"""Canary robots, and how many rollouts of such a fleet are simulated."""
SAME_MODEL_ROLLOUTS = 10_000
NEVER_S = float("inf")
SHIPPED = RolloutPolicy()
SHARP = RolloutPolicy(latency_tolerance=0.02, max_added_error_rate=0.002)
NO_TOLERANCE = RolloutPolicy(latency_tolerance=0, confidence_tolerance=0, max_added_error_rate=0)


class Regression(Struct, frozen=True):
    """What the new model does worse, beyond the policy's tolerance or within it."""

    name: str
    slower: float = 0.0
    added_errors: float = 0.0


REGRESSIONS = (
    Regression("+10 % latency", slower=0.10),
    Regression("+25 % latency", slower=0.25),
    Regression("+100 % latency", slower=1.0),
    Regression("+1 pp errors", added_errors=0.01),
    Regression("+5 pp errors", added_errors=0.05),
)


def measure() -> list[Measurement]:
    """Delays under the shipped tolerances and sharp ones, then false alarms without any."""
    delays = [
        _delay(regression, canary, policy, named)
        for policy, named in ((SHIPPED, "25 % / 1 pp"), (SHARP, "2 % / 0.2 pp"))
        for regression in REGRESSIONS
        for canary in CANARIES
    ]
    return [*delays, *(_false_alarms(alpha) for alpha in (0.05, 0.01))]


def _delay(regression: Regression, canary: int, policy: RolloutPolicy, named: str) -> Measurement:
    world = replace(
        _fleet(canary),
        slower=regression.slower,
        added_errors=regression.added_errors,
    )
    rollouts = CANARIES[canary]
    found = condemned_at(said(np.random.default_rng(1), world, rollouts), world, policy, WAVES)
    delay_s = statistics.median(NEVER_S if at is None else float(at) for at in found)
    inferences = delay_s * canary * world.inferences_per_window
    share = sum(at is not None for at in found) / rollouts
    return Measurement(
        name=f"{regression.name}, {canary} canary robots, tolerance {named}: median delay",
        value=delay_s,
        unit="s",
        against=f"{inferences:,.0f} canary inferences; found in {share:.0%} within {WINDOWS} s",
    )


def _fleet(canary: int) -> World:
    if canary == 1:
        return World(sites=((1, CONTROL_PER_CANARY),), windows=WINDOWS)
    first, others = canary * 3 // 5, canary - canary * 3 // 5
    control = canary * CONTROL_PER_CANARY
    return World(
        sites=((first, control * 2 // 5), (others, control - control * 2 // 5)), windows=WINDOWS
    )


def _false_alarms(alpha: float) -> Measurement:
    world = replace(_fleet(5), windows=60)
    policy = replace(NO_TOLERANCE, alpha=alpha)
    spoken = said(np.random.default_rng(2), world, SAME_MODEL_ROLLOUTS)
    condemned = sum(at is not None for at in condemned_at(spoken, world, policy, waves=1))
    share = condemned / SAME_MODEL_ROLLOUTS
    return Measurement(
        name=f"same model twice, 5 canary robots, no tolerance, alpha {alpha:g}: condemned",
        value=100 * share,
        unit="%",
        against=f"{SAME_MODEL_ROLLOUTS} rollouts judged every second for {world.windows} s",
        goal=f"<= {alpha:.0%}",
        met=share <= alpha,
    )
