"""What a rollout has seen of its robots: enough for a comparison, and no more.

A robot is the unit: what it said is reduced to its own mean, and the cohorts of each stratum (one
site, one kind of hardware) to sums over such means. So the evidence of a rollout grows with its
robots and its strata, never with its inferences.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from fleetward.contracts.event import UtcTime
from fleetward.contracts.ids import RobotId
from fleetward.contracts.signals import OUTPUT_MEAN

MAX_STRATA = 16
"""Strata told apart in one wave, first come first served; the robots of further ones are OTHER."""
OTHER = "other"
"""The stratum of robots that have no place among the first MAX_STRATA."""
MAX_SIGNAL_GUARDS = 4
"""Signals that one policy may name: each is compared in every stratum and kept for every robot."""
OUTPUT_MEAN_SIGNAL = OUTPUT_MEAN.name
"""What drift is judged by."""


class Worse(str, enum.Enum):
    """Which way a signal must not move."""

    HIGHER = "higher"
    LOWER = "lower"
    EITHER = "either"


class Per(str, enum.Enum):
    """What a tolerance is counted in."""

    UNIT = "unit"
    """The signal's own unit."""
    SHARE = "share"
    """Shares of the control robots' mean: 0.1 is ten percent."""
    DEVIATION = "deviation"
    """Standard deviations of the control robots' samples."""


class SignalGuard(Struct, frozen=True, kw_only=True):
    """A signal by which a rollout is judged too: any that robots record without attributes."""

    signal: str
    worse: Worse = Worse.HIGHER
    tolerance: float
    per: Per = Per.UNIT


class Moments(Struct, frozen=True, kw_only=True):
    """Running moments of one quantity over samples."""

    count: int = 0
    total: float = 0.0
    total_of_squares: float = 0.0


class CohortEvidence(Struct, frozen=True, kw_only=True):
    """What one cohort's robots reported since the wave began, for people. Latency in ms.

    ``signals``: those that the rollout's policy names.
    """

    inferences: int = 0
    errors: int = 0
    latency_ms: Moments = Moments()
    confidence: Moments = Moments()
    signals: dict[str, Moments] = {}


class Sums(Struct, frozen=True, array_like=True):
    """What one robot said of one metric: ``total / count`` is its mean."""

    count: int = 0
    total: float = 0.0


class Observed(Struct, frozen=True, array_like=True):
    """One robot in one wave, a Sums for each compared metric.

    ``before``: on the model it served earlier, while no canary robot had the new one yet, or
    until it swapped. ``after``: since then, on the new model (``is_canary``) or still on the old.
    ``before_until``: as ``counted_until``, for the earlier model where both serve at a time.
    """

    is_canary: bool = False
    before: tuple[Sums, ...] = ()
    after: tuple[Sums, ...] = ()
    before_until: UtcTime | None = None


class Spread(Struct, frozen=True, array_like=True):
    """How the robots' means of one metric lie in one cohort of one stratum.

    ``x`` is a robot's mean (or its logarithm, see ``contracts.compared``) since the comparison
    began, ``b`` the same before it; ``paired`` robots have both, ``x_paired`` sums over those.
    ``count`` and ``total`` sum what the robots' means are made of.
    """

    robots: int = 0
    x: float = 0.0
    xx: float = 0.0
    paired: int = 0
    x_paired: float = 0.0
    b: float = 0.0
    bb: float = 0.0
    xb: float = 0.0
    count: int = 0
    total: float = 0.0


class Stratum(Struct, frozen=True, array_like=True):
    """Robots of one site and one kind of hardware, a Spread for each compared metric."""

    site: str
    hardware: str
    canary: tuple[Spread, ...] = ()
    control: tuple[Spread, ...] = ()


class Evidence(Struct, frozen=True, kw_only=True):
    """Canary against concurrent control since the wave began.

    ``counted_until``: when each robot's last counted window began; a window that began no later
    is a copy or comes too late, and is not counted again. ``windows`` counts those of the canary, ``control_windows`` those
    of the control. Looks are rationed (``rollout_coordinator.looks``): ``looks`` were taken so far, the last one
    at ``looked_at_windows``, and ``is_look`` says that it is this very evidence. ``is_own_control``:
    the control is the canary's own robots on the model before, as nobody else is left.
    """

    canary: CohortEvidence = CohortEvidence()
    control: CohortEvidence = CohortEvidence()
    counted_until: dict[RobotId, UtcTime] = {}
    observed: dict[RobotId, Observed] = {}
    strata: dict[str, Stratum] = {}
    windows: int = 0
    control_windows: int = 0
    looks: int = 0
    looked_at_windows: int = 0
    is_look: bool = False
    is_own_control: bool = False
