"""Which metrics a policy compares, in which order, and on which scale a robot's mean is compared."""

from __future__ import annotations

import math

from msgspec import Struct

from fleetward.contracts.evidence import OUTPUT_MEAN_SIGNAL, Per, SignalGuard, Spread, Sums, Worse
from fleetward.contracts.rollouts import RolloutPolicy

LATENCY = "latency ms"
ERRORS = "error rate"
CONFIDENCE = "confidence"
NEXT_TO_NOTHING = 1e-3
"""Added to a latency in ms or a confidence, so that none at all has a logarithm."""
RARE = 0.05
"""Error rates are told apart where they are larger than this, and hardly below it."""


class Metric(Struct, frozen=True):
    """``floor``: robots are compared by the logarithm of their mean and it; None: by the mean."""

    name: str
    floor: float | None = None
    guard: SignalGuard | None = None

    def scaled(self, mean: float) -> float:
        """A mean as it is compared."""
        return mean if self.floor is None else math.log(max(mean, 0.0) + self.floor)

    def spoken(self, scaled: float) -> float:
        """The inverse of ``scaled``."""
        return scaled if self.floor is None else max(math.exp(scaled) - self.floor, 0.0)


ALWAYS = (
    Metric(LATENCY, NEXT_TO_NOTHING),
    Metric(ERRORS, RARE),
    Metric(CONFIDENCE, NEXT_TO_NOTHING),
)


def compared(policy: RolloutPolicy) -> tuple[Metric, ...]:
    """Latency, errors and confidence, then the output's drift, then the signals it names."""
    return ALWAYS + tuple(Metric(guard.signal, guard=guard) for guard in guards(policy))


def guards(policy: RolloutPolicy) -> tuple[SignalGuard, ...]:
    """Every signal that the policy is judged by; drift is one of them."""
    if policy.drift_tolerance is None:
        return policy.signals
    drift = SignalGuard(
        signal=OUTPUT_MEAN_SIGNAL,
        worse=Worse.EITHER,
        tolerance=policy.drift_tolerance,
        per=Per.DEVIATION,
    )
    return (drift, *policy.signals)


def lone(metric: Metric, before: Sums, after: Sums) -> Spread:
    """One robot as a cohort of its own; empty while it has said nothing since."""
    if not after.count:
        return Spread()
    x = metric.scaled(after.total / after.count)
    if not before.count:
        return Spread(1, x, x * x, count=after.count, total=after.total)
    b = metric.scaled(before.total / before.count)
    return Spread(1, x, x * x, 1, x, b, b * b, x * b, after.count, after.total)
