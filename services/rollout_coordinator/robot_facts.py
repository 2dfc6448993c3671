"""What a robot's own word changes about where it stands in a rollout."""

from __future__ import annotations

from datetime import datetime
from math import isnan
from typing import get_args

from msgspec import UNSET
from msgspec.structs import replace

from fleetward.contracts.alerts import ROBOT_SILENT, AlertFired, Severity
from fleetward.contracts.deadlines import is_held_back
from fleetward.contracts.places import place_of, said_at
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
)
from fleetward.contracts.rollouts import RobotPhase, RobotProgress, Rollout, Strategy
from fleetward.contracts.variants import wanted
from fleetward.contracts.wording import shortened

MAX_REASON_CHARACTERS = 200

_HAS_NEW_MODEL = frozenset(
    {RobotPhase.TARGETED, RobotPhase.STAGED, RobotPhase.PROVED, RobotPhase.UNKNOWN}
)
_AWAITS_PROOF = frozenset({RobotPhase.TARGETED, RobotPhase.UNKNOWN})

RobotFact = (
    ModelActivated
    | ModelStaged
    | ModelShadowed
    | ActivationFailed
    | ModelFellBack
    | RobotCheckedIn
    | AlertFired
)
ROBOT_FACTS: tuple[type[RobotFact], ...] = get_args(RobotFact)


def told_alone(
    rollout: Rollout, progress: RobotProgress, fact: RobotFact, stored_at: datetime
) -> RobotProgress | None:
    """Where a robot stands with a rollout's own model after its word, or None when that changes nothing.

    Facts about another generation than the robot's newest say nothing about it: they are late,
    or belong to another rollout. ``stored_at`` is when the server stored the fact.
    """
    match fact:
        case ModelActivated():
            return _activated(rollout, progress, fact, stored_at)
        case ModelStaged():
            return _staged(rollout, progress, fact)
        case ModelShadowed():
            return _shadowed(rollout, progress, fact, stored_at)
        case ActivationFailed():
            return _not_activated(progress, fact)
        case ModelFellBack():
            return _fell_back(progress, fact)
        case RobotCheckedIn():
            return _checked_in(rollout, progress, fact, stored_at)
        case AlertFired():
            return _alerted(rollout, progress, fact, stored_at)


def _activated(
    rollout: Rollout, progress: RobotProgress, fact: ModelActivated, stored_at: datetime
) -> RobotProgress | None:
    if fact.generation != progress.generation:
        return None
    if progress.phase is RobotPhase.REVERTING and fact.digest == progress.previous_digest:
        return replace(progress, phase=RobotPhase.REVERTED)
    if progress.phase not in _AWAITS_PROOF or _is_older(progress, stored_at):
        return None
    if fact.digest != wanted(rollout, progress).digest:
        return _failed(progress, f"it attests {fact.digest}, not the digest it was given")
    if not is_to_serve(rollout, progress):
        return _failed(progress, "it serves the model, and was given it not to serve yet")
    return _proved(progress, stored_at)


def is_to_serve(rollout: Rollout, progress: RobotProgress) -> bool:
    """Whether the robot's newest target says: serve."""
    if rollout.strategy is Strategy.BLUE_GREEN:
        return progress.is_to_switch
    return rollout.strategy is not Strategy.SHADOW


def _staged(rollout: Rollout, progress: RobotProgress, fact: ModelStaged) -> RobotProgress | None:
    """Green is warm: what a target to stage is answered with, and no other."""
    if fact.generation != progress.generation or progress.phase not in _AWAITS_PROOF:
        return None
    if rollout.strategy is not Strategy.BLUE_GREEN or progress.is_to_switch:
        return None
    if fact.digest != wanted(rollout, progress).digest:
        return _failed(progress, f"it staged {fact.digest}, not the digest it was given")
    return replace(progress, phase=RobotPhase.STAGED, held_at=UNSET, reason="")


def _shadowed(
    rollout: Rollout, progress: RobotProgress, fact: ModelShadowed, stored_at: datetime
) -> RobotProgress | None:
    if fact.generation != progress.generation or progress.phase not in _AWAITS_PROOF:
        return None
    if rollout.strategy is not Strategy.SHADOW or _is_older(progress, stored_at):
        return None
    if fact.digest != wanted(rollout, progress).digest:
        return _failed(progress, f"it shadowed {fact.digest}, not the digest it was given")
    reason = _diverges(fact, rollout.policy.max_divergence)
    return _failed(progress, reason) if reason else _proved(progress, stored_at)


def _diverges(fact: ModelShadowed, bound: float | None) -> str:
    """Why a shadow differs too much from what serves, or empty; what cannot be compared does."""
    if bound is None:
        return ""
    if fact.incomparable or not fact.divergence:
        which = ", ".join(fact.incomparable) or "all"
        return (
            f"outputs that cannot be compared with what serves: {which}; the policy says by how much "
            "they may differ"
        )
    beyond = {name: apart for name, apart in fact.divergence.items() if not apart <= bound}
    if not beyond:
        return ""
    worst = max(beyond, key=lambda name: (isnan(beyond[name]), beyond[name]))
    return (
        f"output {worst} differs by {beyond[worst]:.3g} of its range from what serves, more than "
        f"{bound:g}"
    )


def _not_activated(progress: RobotProgress, fact: ActivationFailed) -> RobotProgress | None:
    if fact.generation != progress.generation:
        return None
    reason = f"{fact.stage.value}: {fact.reason}"
    if progress.phase in _HAS_NEW_MODEL:
        return _failed(progress, reason)
    if progress.phase is RobotPhase.REVERTING and progress.reason != _short(reason):
        return replace(progress, reason=_short(reason))
    return None


def _fell_back(progress: RobotProgress, fact: ModelFellBack) -> RobotProgress | None:
    if fact.generation != progress.generation or progress.phase not in _HAS_NEW_MODEL:
        return None
    return _failed(progress, f"it fell back by itself: {fact.reason}")


def _checked_in(
    rollout: Rollout, progress: RobotProgress, fact: RobotCheckedIn, stored_at: datetime
) -> RobotProgress | None:
    """The check-in is the truth: it acknowledges a revert, takes a proof back, or renews it.

    It is read where the model stands: what the robot's other pipelines do says nothing of it.

    A robot checks in with its new generation before it swaps. Such a check-in may be delivered
    after the proof that it preceded, and then says nothing against it. One that was stored before
    the robot fell silent says nothing about how it came back.
    """
    said = said_at(fact, place_of(rollout.model.name, progress.pipelines))
    if said is None or said.generation != progress.generation or said.active_digest is None:
        return None
    if progress.phase is RobotPhase.REVERTING and said.active_digest == progress.previous_digest:
        return replace(progress, phase=RobotPhase.REVERTED)
    if progress.phase is RobotPhase.TARGETED and progress.silent_at is None:
        return held_back(progress, said.held_back, stored_at)
    returned = progress.silent_at is not None and progress.phase in _AWAITS_PROOF
    if _is_older(progress, stored_at) or not (returned or progress.phase is RobotPhase.PROVED):
        return None
    if (said.active_digest == wanted(rollout, progress).digest) is not is_to_serve(
        rollout, progress
    ):
        return _failed(progress, f"it proved the model but now serves {said.active_digest}")
    return _proved(progress, stored_at) if returned else None


def held_back(progress: RobotProgress, why: str, stored_at: datetime) -> RobotProgress | None:
    """A robot that says why it does not swap yet: until it may, no deadline for its proof runs."""
    known = [moment for moment in (progress.targeted_at, progress.held_at) if moment]
    if any(stored_at <= moment for moment in known):
        return None
    if not why:
        return _freed(progress, "", stored_at) if is_held_back(progress) else None
    reason = _short(f"it waits to swap: {why}")
    if is_held_back(progress):
        return None if reason == progress.reason else replace(progress, reason=reason)
    return replace(progress, held_at=stored_at, reason=reason)


def _freed(progress: RobotProgress, reason: str, stored_at: datetime) -> RobotProgress:
    return replace(progress, targeted_at=stored_at, held_at=UNSET, reason=_short(reason))


def _alerted(
    rollout: Rollout, progress: RobotProgress, fact: AlertFired, stored_at: datetime
) -> RobotProgress | None:
    """A critical alert counts when the new model may be its cause: its samples, and its time.

    The time is the server's; the robot's own clock may be days off.
    """
    if fact.alert == ROBOT_SILENT:
        return _fell_silent(rollout, progress, stored_at)
    if fact.severity is not Severity.CRITICAL or progress.phase not in _HAS_NEW_MODEL:
        return None
    if fact.digest is not None and fact.digest != wanted(rollout, progress).digest:
        return None
    if progress.targeted_at is None or stored_at < progress.targeted_at:
        return None
    return _failed(progress, f"alert {fact.alert}: {fact.summary or fact.expression}")


def _fell_silent(
    rollout: Rollout, progress: RobotProgress, stored_at: datetime
) -> RobotProgress | None:
    """A proof holds as long as the robot is heard: it may have died of the model since.

    Not so once its wave did well for its time in a continuous rollout, which may last for months:
    robots are switched off at night.
    """
    if progress.phase is RobotPhase.TARGETED and progress.held_at is not UNSET:
        fell_silent = _freed(progress, f"{progress.reason}; then it fell silent", stored_at)
        return fell_silent if stored_at > progress.held_at else None
    if progress.phase is not RobotPhase.PROVED or _is_older(progress, stored_at):
        return None
    steady, proved = rollout.steady_since, progress.proved_at
    if steady is not None and proved is not None and proved <= steady:
        return None
    return replace(
        progress,
        phase=RobotPhase.TARGETED,
        silent_at=stored_at,
        reason="it proved the model and then fell silent",
    )


def _is_older(progress: RobotProgress, stored_at: datetime) -> bool:
    """Whether something stored then precedes the proof, or the silence, that is known already."""
    known = (progress.proved_at, progress.silent_at)
    return any(moment is not None and stored_at <= moment for moment in known)


def _proved(progress: RobotProgress, stored_at: datetime) -> RobotProgress:
    return replace(
        progress,
        phase=RobotPhase.PROVED,
        proved_at=stored_at,
        silent_at=None,
        held_at=UNSET,
        reason="",
    )


def _failed(progress: RobotProgress, reason: str) -> RobotProgress:
    return replace(
        progress, phase=RobotPhase.FAILED, silent_at=None, held_at=UNSET, reason=_short(reason)
    )


def _short(reason: str) -> str:
    """A robot's words, bounded: ten thousand of them must fit into one rollout's state."""
    return shortened(reason, MAX_REASON_CHARACTERS)
