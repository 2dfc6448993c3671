"""What time it is at the hub, as a robot can tell it, and how wrong that may be. Pure.

The registry signs its time into each of its answers about trust. It did so at some moment between the
question and the answer, so half of that round trip bounds the error; from then on the robot's clock
may run apart from the hub's by DRIFT (Cristian, "Probabilistic clock synchronization", Distributed
Computing 1989). ``now_s`` counts seconds since the robot's machine started: nobody sets that clock.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

SAMPLES_KEPT = 8
DRIFT = 1e-4
"""Seconds by which two clocks may run apart in one second; a quartz is within half of it."""


class Sample(Struct, frozen=True, kw_only=True):
    """The hub said ``hub_at`` between ``asked_s`` and ``answered_s``."""

    hub_at: datetime
    asked_s: float
    answered_s: float


class Reading(Struct, frozen=True, kw_only=True):
    """The hub's time now; it is wrong by at most ``error_s``."""

    hub_now: datetime
    error_s: float


class HubClock(Struct, frozen=True, kw_only=True):
    """The newest samples."""

    samples: tuple[Sample, ...] = ()


def measured(clock: HubClock, sample: Sample) -> HubClock:
    """The clock with one more sample, and without the oldest of too many."""
    return HubClock(samples=(*clock.samples, sample)[-SAMPLES_KEPT:])


def reading(clock: HubClock, now_s: float) -> Reading | None:
    """The hub's time by the sample that is least wrong now; None before the first."""
    if not clock.samples:
        return None
    best = min(clock.samples, key=lambda sample: _error_s(sample, now_s))
    since_s = now_s - (best.asked_s + best.answered_s) / 2
    return Reading(hub_now=best.hub_at + timedelta(seconds=since_s), error_s=_error_s(best, now_s))


def until_s(clock: HubClock, instant: datetime, now_s: float) -> float | None:
    """How long until ``instant`` of the hub's clock, negative past it; None: nobody can tell."""
    read = reading(clock, now_s)
    return (instant - read.hub_now).total_seconds() if read is not None else None


def _error_s(sample: Sample, now_s: float) -> float:
    return (sample.answered_s - sample.asked_s) / 2 + abs(now_s - sample.answered_s) * DRIFT
