"""Which numbers a rollout can be judged by; checked where they are written and where they are used."""

from __future__ import annotations

import re
from itertools import pairwise

from fleetward.contracts.errors import MalformedError
from fleetward.contracts.evidence import MAX_SIGNAL_GUARDS, OUTPUT_MEAN_SIGNAL, SignalGuard
from fleetward.contracts.gates import MAX_APPROVALS, MAX_GATES, Gate, GateKind
from fleetward.contracts.interlocks import check_interlocks
from fleetward.contracts.rollouts import Rollout, RolloutPolicy, Strategy
from fleetward.contracts.telemetry import SIGNAL_PATTERN

ALL_PERCENT = 100
MIN_WAVE_PERCENT = 1
_WEEK_S = 7 * 86_400.0
_GATE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,47})")
_GATE_URL = re.compile(r"https?://[^\s/]+(?:/\S*)?")
_LARGEST_TOLERANCE = 1e12
_POLICY_BOUNDS: tuple[tuple[str, float, float], ...] = (
    ("bake_s", 0, _WEEK_S),
    ("silent_after_s", 0.1, _WEEK_S),
    ("min_success_percent", 0, ALL_PERCENT),
    ("max_error_percent", 0, ALL_PERCENT),
    ("latency_tolerance", 0, 1000),
    ("confidence_tolerance", 0, 1),
    ("max_added_error_rate", 0, 1),
    ("drift_tolerance", 0, 1000),
    ("robot_spread", 0.001, 10),
    ("alpha", 1e-12, 0.5),
    ("min_inferences", 1, 1e9),
    ("proof_inferences", 1, 1e6),
    ("health_window_s", 0, _WEEK_S),
    ("byte_cap", 1, 2**50),
    ("wave_growth", 1.1, 100),
    ("max_unavailable", 1, 10_000),
    ("max_unavailable_per_site", 1, 10_000),
    ("switch_lead_s", 0, _WEEK_S),
    ("split_percent", 1, 99),
    ("hold_s", 0, 13 * _WEEK_S),
    ("max_divergence", 0, 1000),
    ("joiners_per_minute", 0.01, 10_000),
    ("stalled_after_s", 1, 13 * _WEEK_S),
    ("watch_after_s", 0, 13 * _WEEK_S),
)
"""Smallest and largest of each number that a rollout is judged by; a NaN is neither."""


class PolicyError(MalformedError):
    """A policy that no rollout can be judged by."""


def check_gates(gates: tuple[Gate, ...]) -> None:
    """Raise PolicyError naming the first gate that nobody could ever pass, or that says nothing."""
    names = [gate.name for gate in gates]
    if len(names) > MAX_GATES:
        raise PolicyError(f"a policy has {len(names)} gates; at most {MAX_GATES} may stand.")
    for gate in gates:
        problem = _gate_problem(gate)
        if names.count(gate.name) > 1:
            problem = "another gate has the same name"
        if problem:
            raise PolicyError(f"gate {gate.name!r} is not valid: {problem}.")


def _gate_problem(gate: Gate) -> str:
    if not _GATE_NAME.fullmatch(gate.name):
        return "name it with at most 48 letters, digits, '-' and '_'"
    match gate.kind:
        case GateKind.APPROVAL if not 1 <= gate.approvals <= MAX_APPROVALS:
            return f"{gate.approvals} approvals cannot be given; ask for 1 to {MAX_APPROVALS}"
        case GateKind.WEBHOOK if not _GATE_URL.fullmatch(gate.url):
            return f"{gate.url!r} is no http:// or https:// URL"
        case GateKind.ALERT_FREE if not 0 < gate.alert_free_s <= _WEEK_S:
            return (
                f"{gate.alert_free_s:g} s without an alert; it must be above 0 and at most a week"
            )
        case _:
            return ""


def is_steady(rollout: Rollout) -> bool:
    """Whether a continuous rollout waits for nothing but robots that match later."""
    steady, baking = rollout.steady_since, rollout.baking_since
    return steady is not None and baking is not None and steady >= baking


def settled_hold_s(rollout: Rollout) -> float:
    """How long a settled wave must do well before the rollout goes on, in seconds."""
    is_held = rollout.strategy in (Strategy.A_B, Strategy.SHADOW)
    return rollout.policy.hold_s if is_held else rollout.policy.bake_s


def check_policy(policy: RolloutPolicy) -> None:
    """Raise PolicyError naming the first number that is out of bounds, or a signal to no purpose.

    Raises InterlockError for an interlock that no robot can judge.
    """
    check_interlocks(policy.interlocks)
    percents = policy.wave_percents
    rising = all(before < after for before, after in pairwise(percents))
    if not percents or not rising or percents[0] < MIN_WAVE_PERCENT or percents[-1] != ALL_PERCENT:
        raise PolicyError(
            f"wave percents {list(percents)} are not valid: give rising numbers from 1 that end "
            "with 100, for example 20,50,100."
        )
    counts = policy.wave_counts
    if counts and (counts[0] < 1 or any(a >= b for a, b in pairwise(counts))):
        raise PolicyError(
            f"wave counts {list(counts)} are not valid: give rising numbers of robots from 1, for "
            "example 1,5,20."
        )
    check_gates(policy.gates)
    for name, smallest, largest in _POLICY_BOUNDS:
        value = getattr(policy, name)
        if value is not None and not smallest <= value <= largest:
            raise PolicyError(
                f"policy {name} is {value}; it must be from {smallest:g} to {largest:g}."
            )
    _check_signals(policy.signals)


def _check_signals(guards: tuple[SignalGuard, ...]) -> None:
    if len(guards) > MAX_SIGNAL_GUARDS:
        raise PolicyError(
            f"{len(guards)} signals are named, more than {MAX_SIGNAL_GUARDS}: choose those that "
            "tell most; the chance of a false alarm is divided among them."
        )
    names = [guard.signal for guard in guards]
    for guard in guards:
        if re.match(SIGNAL_PATTERN, guard.signal) is None:
            raise PolicyError(f"signal {guard.signal!r} is no signal's name, as hw.temperature is.")
        if guard.signal == OUTPUT_MEAN_SIGNAL or names.count(guard.signal) > 1:
            raise PolicyError(
                f"signal {guard.signal} is judged already: name it once, and drift of the output by "
                "drift_tolerance."
            )
        if not 0 <= guard.tolerance <= _LARGEST_TOLERANCE:
            raise PolicyError(
                f"the tolerance of signal {guard.signal} is {guard.tolerance}; it must be from 0 to "
                f"{_LARGEST_TOLERANCE:g}."
            )
