"""Is the new model worse than the one it replaces? Looked at every tick, wrong at most alpha.

Canary and control are compared by asymptotic confidence sequences (Waudby-Smith, Arbour, Sinha,
Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences",
Annals of Statistics 2024, equation 3): intervals for a mean that hold at all sample sizes at
once, so that looking again and again does not add up to false alarms.
"""

from __future__ import annotations

import math

from fleetward.contracts.rollouts import CohortEvidence, Evidence, Moments, RolloutPolicy

COMPARISONS = 3
"""Latency, errors, confidence: the chance of a false alarm is divided among them."""
COHORTS = 2
TIGHTEST_AT = 500
"""Sample size at which the intervals are tightest; they hold at every size."""


def condemnation(evidence: Evidence, policy: RolloutPolicy, waves: int) -> str:
    """Why the new model is worse than the control cohort's, or an empty string.

    ``waves`` is how many waves may each ask this; alpha is divided among them too.
    """
    canary, control = evidence.canary, evidence.control
    if min(canary.inferences, control.inferences) < policy.min_inferences:
        return ""
    alpha = policy.alpha / (COMPARISONS * COHORTS * waves)
    return (
        _slower(canary, control, policy.latency_tolerance, alpha)
        or _fails_more(canary, control, policy.max_added_error_rate, alpha)
        or _less_confident(canary, control, policy.confidence_tolerance, alpha)
    )


def mean(moments: Moments) -> float:
    """The mean, 0 without samples."""
    return moments.total / moments.count if moments.count else 0.0


def radius(moments: Moments, alpha: float) -> float:
    """Half the width of the two-sided 1 - alpha confidence sequence for the mean."""
    count = moments.count
    if count == 0:
        return math.inf
    average = moments.total / count
    variance = max(moments.total_of_squares / count - average * average, 0.0)
    return math.sqrt(variance) * _boundary(count, alpha)


def _boundary(count: int, alpha: float) -> float:
    rho_squared = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / TIGHTEST_AT
    spread = count * rho_squared + 1
    return math.sqrt(
        2 * spread / (count * count * rho_squared) * math.log(math.sqrt(spread) / alpha)
    )


def _slower(canary: CohortEvidence, control: CohortEvidence, tolerance: float, alpha: float) -> str:
    at_least = mean(canary.latency_ms) - radius(canary.latency_ms, alpha)
    at_most = mean(control.latency_ms) + radius(control.latency_ms, alpha)
    if at_least <= at_most * (1 + tolerance):
        return ""
    return (
        f"inference takes {mean(canary.latency_ms):.1f} ms on the new model against "
        f"{mean(control.latency_ms):.1f} ms on the control robots, "
        f"more than {tolerance:.0%} slower"
    )


def _fails_more(canary: CohortEvidence, control: CohortEvidence, added: float, alpha: float) -> str:
    canary_errors, control_errors = _error_rate(canary), _error_rate(control)
    at_least = mean(canary_errors) - radius(canary_errors, alpha)
    at_most = mean(control_errors) + radius(control_errors, alpha)
    if at_least <= at_most + added:
        return ""
    return (
        f"{mean(canary_errors):.1%} of inferences fail on the new model against "
        f"{mean(control_errors):.1%} on the control robots"
    )


def _less_confident(
    canary: CohortEvidence, control: CohortEvidence, tolerance: float, alpha: float
) -> str:
    if not (canary.confidence.count and control.confidence.count):
        return ""
    at_most = mean(canary.confidence) + radius(canary.confidence, alpha)
    at_least = mean(control.confidence) - radius(control.confidence, alpha)
    if at_most >= at_least * (1 - tolerance):
        return ""
    return (
        f"mean confidence is {mean(canary.confidence):.3f} on the new model against "
        f"{mean(control.confidence):.3f} on the control robots, "
        f"more than {tolerance:.0%} lower"
    )


def _error_rate(cohort: CohortEvidence) -> Moments:
    """Failures as zeros and ones, smoothed by one of each so that no variance is ever zero."""
    return Moments(
        count=cohort.inferences + 2,
        total=cohort.errors + 1.0,
        total_of_squares=cohort.errors + 1.0,
    )
