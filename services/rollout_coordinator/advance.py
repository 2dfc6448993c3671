"""The rollout's state machine: old state and a fact in, new state and effects out.

Read aloud: a rollout gives its model to one wave of robots at a time. A wave is settled when
each of its robots has proved the model, failed, or stayed silent past the deadline; who falls
silent after its proof holds the rollout up until it is heard again, or is unknown too. Too many
failures at any moment, too few proofs at settlement, or a condemnation by comparison halts the
rollout and takes the model back. A settled wave bakes; when it baked long enough on enough
evidence, the next wave starts, and after the last one the rollout has succeeded. Paused, a
rollout goes no further but is judged all the same.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    RobotCheckedIn,
)
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    AbortMode,
    ControlAction,
    RobotPhase,
    Rollout,
    RolloutControlRequested,
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
    RolloutState,
    WaveCompleted,
)
from fleetward.contracts.telemetry import InferenceSummarized
from rollout_coordinator.evidence import with_summary
from rollout_coordinator.recall import recall_reason, without_return
from rollout_coordinator.revert import ended, halted, reverted_further
from rollout_coordinator.robot_facts import RobotFact, progressed
from rollout_coordinator.step import (
    RobotTaken,
    Step,
    Tick,
    count,
    in_wave,
    reached,
    with_robots,
)
from rollout_coordinator.verdict import condemnation
from rollout_coordinator.waves import targeted, wave_started, with_silent

Fact = (
    RobotFact | InferenceSummarized | RolloutControlRequested | ModelWithdrawn | RobotTaken | Tick
)

_UNSETTLED = (RobotPhase.WAITING, RobotPhase.TARGETED)


def begun(rollout: Rollout, now: datetime) -> Step:
    """The first step of a planned rollout: it exists, and its first wave starts."""
    announced = RolloutStarted(
        rollout_id=rollout.rollout_id,
        model=rollout.model,
        digest=rollout.digest,
        strategy=rollout.strategy,
        wave_sizes=tuple(len(wave) for wave in rollout.waves),
        started_at=now,
    )
    started = Step(rollout=rollout, events=(announced,))
    return started.then(wave_started(rollout, 0, now))


def advance(  # noqa: PLR0911 (one arm per kind of fact, and nothing else)
    rollout: Rollout, fact: Fact, stored_at: datetime, now: datetime
) -> Step:
    """What ``fact`` changes. A fact told twice, late, or about something else changes nothing.

    ``stored_at`` orders what was said: when the server stored the fact, the same for every copy.
    ``now`` is when it is decided: deadlines and bake times run from here, so that a fact read
    late, after an outage, starts no clock in the past.
    """
    unchanged = Step(rollout=rollout)
    if rollout.state in FINAL_STATES:
        return unchanged
    match fact:
        case RolloutControlRequested():
            return _controlled(rollout, fact, stored_at, now)
        case InferenceSummarized():
            evidence = with_summary(rollout, fact, stored_at)
            if evidence is rollout.evidence:
                return unchanged
            return _judged(replace(rollout, evidence=evidence), now)
        case ModelWithdrawn():
            return _recalled(rollout, fact, now)
        case RobotTaken():
            return _taken(rollout, fact)
        case Tick():
            return _judged(with_silent(rollout, fact, now), now)
        case (
            ModelActivated()
            | ActivationFailed()
            | ModelFellBack()
            | RobotCheckedIn()
            | AlertFired()
        ):
            progress = progressed(rollout, fact, stored_at)
            if progress is None:
                return unchanged
            return _judged(with_robots(rollout, {fact.robot_id: progress}), now)
        case _:
            assert_never(fact)


def _judged(rollout: Rollout, now: datetime) -> Step:
    """What the state as it now stands demands next."""
    if rollout.state is RolloutState.REVERTING:
        return reverted_further(rollout, now)
    reason = halt_reason(rollout)
    if reason:
        return halted(rollout, reason, now)
    if rollout.state is RolloutState.PAUSED:
        return Step(rollout=rollout)
    if count(rollout, in_wave(rollout), RobotPhase.WAITING):
        return targeted(rollout, now)
    if count(rollout, reached(rollout), *_UNSETTLED):
        return Step(rollout=rollout)
    return _baked(rollout, now)


def halt_reason(rollout: Rollout) -> str:
    """Why the rollout must be taken back now, or an empty string. Both thresholds bind."""
    robots, policy = reached(rollout), rollout.policy
    failed = count(rollout, robots, RobotPhase.FAILED)
    if failed * 100 > policy.max_error_percent * len(robots):
        return f"{failed} of {len(robots)} robots failed: {_first_failure(rollout)}"
    settled = not count(rollout, robots, *_UNSETTLED)
    proved = count(rollout, robots, RobotPhase.PROVED)
    if settled and proved * 100 < policy.min_success_percent * len(robots):
        unknown = count(rollout, robots, RobotPhase.UNKNOWN)
        return (
            f"only {proved} of {len(robots)} robots proved the model "
            f"({failed} failed, {unknown} unknown), below {policy.min_success_percent:g} %"
        )
    return condemnation(rollout.evidence, policy, len(rollout.waves))


def _baked(rollout: Rollout, now: datetime) -> Step:
    """A settled wave bakes; then the next wave starts, or the rollout has succeeded."""
    if rollout.baking_since is None:
        return Step(rollout=replace(rollout, baking_since=now))
    policy = rollout.policy
    baked_s = (now - rollout.baking_since).total_seconds()
    if baked_s < policy.bake_s:
        return Step(rollout=rollout)
    if rollout.evidence.canary.inferences < policy.min_inferences:
        return _without_evidence(rollout, baked_s, now)
    robots = in_wave(rollout)
    completed = WaveCompleted(
        rollout_id=rollout.rollout_id,
        wave=rollout.wave,
        proved=count(rollout, robots, RobotPhase.PROVED),
        unknown=count(rollout, robots, RobotPhase.UNKNOWN),
        failed=count(rollout, robots, RobotPhase.FAILED),
        completed_at=now,
    )
    done = Step(rollout=rollout, events=(completed,))
    if rollout.wave + 1 < len(rollout.waves):
        return done.then(wave_started(rollout, rollout.wave + 1, now))
    proved = count(rollout, reached(rollout), RobotPhase.PROVED)
    reason = f"{proved} of {len(rollout.robots)} robots proved {rollout.model} and did well"
    return done.then(ended(rollout, RolloutState.SUCCEEDED, now, reason))


def _without_evidence(rollout: Rollout, baked_s: float, now: datetime) -> Step:
    """No news is not good news: wait for telemetry, then pause and ask a person."""
    policy = rollout.policy
    if baked_s < policy.bake_s + policy.silent_after_s:
        return Step(rollout=rollout)
    seen = rollout.evidence.canary.inferences
    return _paused(
        rollout,
        f"inconclusive: telemetry shows {seen} of at least {policy.min_inferences} inferences "
        f"{baked_s:.0f} s after the wave settled",
        now,
    )


def _taken(rollout: Rollout, fact: RobotTaken) -> Step:
    """The robot is not ours any more. Judged with whatever comes next: several come together."""
    progress = rollout.robots.get(fact.robot_id)
    if progress is None or progress.phase is RobotPhase.UNKNOWN:
        return Step(rollout=rollout)
    lost = replace(
        progress,
        phase=RobotPhase.UNKNOWN,
        previous=None,
        previous_digest=None,
        targeted_at=None,
        reason=f"{fact.by} gave it another target first",
    )
    return Step(rollout=with_robots(rollout, {fact.robot_id: lost}))


def _recalled(rollout: Rollout, fact: ModelWithdrawn, now: datetime) -> Step:
    """Revocation beats delivery, and beats a return."""
    reason = recall_reason(rollout, fact)
    if reason and rollout.state is not RolloutState.REVERTING:
        return halted(rollout, reason, now)
    kept = without_return(rollout, fact)
    return Step(rollout=rollout) if kept is rollout else _judged(kept, now)


def _controlled(
    rollout: Rollout, asked: RolloutControlRequested, stored_at: datetime, now: datetime
) -> Step:
    """An operator's word, heard once and in order: a copy of it is stored at the same instant."""
    if rollout.controlled_at is not None and stored_at <= rollout.controlled_at:
        return Step(rollout=rollout)
    return _obeyed(replace(rollout, controlled_at=stored_at), asked, now)


def _obeyed(rollout: Rollout, asked: RolloutControlRequested, now: datetime) -> Step:
    by = asked.requested_by or "somebody"
    match asked.action:
        case ControlAction.PAUSE if rollout.state is RolloutState.RUNNING:
            return _paused(rollout, f"paused by {by}", now)
        case ControlAction.RESUME if rollout.state is RolloutState.PAUSED:
            return _resumed(rollout, now)
        case ControlAction.ABORT if asked.abort is AbortMode.KEEP:
            return ended(rollout, RolloutState.ABORTED, now, f"aborted by {by}, model kept")
        case ControlAction.ABORT if rollout.state is not RolloutState.REVERTING:
            return halted(rollout, f"aborted by {by}", now, RolloutState.ABORTED)
        case _:
            return Step(rollout=rollout)


def _paused(rollout: Rollout, reason: str, now: datetime) -> Step:
    paused = replace(rollout, state=RolloutState.PAUSED, reason=reason, baking_since=None)
    announced = RolloutPaused(rollout_id=rollout.rollout_id, reason=reason, paused_at=now)
    return Step(rollout=paused, events=(announced,))


def _resumed(rollout: Rollout, now: datetime) -> Step:
    running = replace(rollout, state=RolloutState.RUNNING, reason="")
    announced = RolloutResumed(rollout_id=rollout.rollout_id, resumed_at=now)
    return Step(rollout=running, events=(announced,)).then(_judged(running, now))


def _first_failure(rollout: Rollout) -> str:
    return next(
        f"{robot}: {progress.reason}"
        for robot, progress in rollout.robots.items()
        if progress.phase is RobotPhase.FAILED
    )
