"""The rollout's state machine: old state and a fact in, new state and effects out.

Read aloud: a rollout gives its model to one wave of robots at a time, to as many of them as may be
given it now (``admission``). A wave is settled when each of its robots has proved the model, failed,
or stayed silent past the deadline; who falls silent after its proof holds the rollout up until it is
heard again, or is unknown too. Too many failures at any moment, too few proofs at settlement, or a
condemnation by comparison halts the rollout and takes the model back. A settled wave bakes; when it
baked long enough on enough evidence, the next wave starts, and after the last one the rollout has
succeeded. A blue-green rollout has everybody stage the model first, and then its waves switch. An A/B
rollout ends with its first wave, a shadow one by discarding the model everywhere. Paused, a rollout
goes no further but is judged all the same; one that may not go on for too long pauses and asks.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from msgspec.structs import replace

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.policies import settled_hold_s
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    ModelShadowed,
    ModelStaged,
    RobotCheckedIn,
)
from fleetward.contracts.rollout_events import (
    RolloutPaused,
    RolloutResumed,
    RolloutStarted,
    WaveCompleted,
)
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    AbortMode,
    ControlAction,
    RobotPhase,
    Rollout,
    RolloutControlRequested,
    RolloutState,
    Strategy,
)
from fleetward.contracts.surroundings import NOTHING_AROUND, Surroundings
from fleetward.contracts.telemetry import InferenceSummarized
from rollout_coordinator.evidence import with_summary
from rollout_coordinator.halting import condemned, halt_reason
from rollout_coordinator.recall import recall_reason, without_return
from rollout_coordinator.revert import discarded, ended, halted, reverted_further
from rollout_coordinator.robot_facts import RobotFact, progressed
from rollout_coordinator.step import (
    RobotTaken,
    Step,
    Tick,
    count,
    count_unsettled,
    in_wave,
    reached,
    with_robots,
)
from rollout_coordinator.waves import targeted, wave_started, with_silent

Fact = (
    RobotFact | InferenceSummarized | RolloutControlRequested | ModelWithdrawn | RobotTaken | Tick
)


def begun(rollout: Rollout, now: datetime, around: Surroundings = NOTHING_AROUND) -> Step:
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
    return started.then(wave_started(rollout, 0, now, around))


def advance(  # noqa: PLR0911 (one arm per kind of fact, and nothing else)
    rollout: Rollout,
    fact: Fact,
    stored_at: datetime,
    now: datetime,
    around: Surroundings = NOTHING_AROUND,
) -> Step:
    """What ``fact`` changes. A fact told twice, late, or about something else changes nothing.

    ``stored_at`` orders what was said: when the server stored the fact, the same for every copy.
    ``now`` is when it is decided: deadlines and bake times run from here, so that a fact read
    late, after an outage, starts no clock in the past. ``around`` is what else binds the decision.
    """
    unchanged = Step(rollout=rollout)
    if rollout.state in FINAL_STATES:
        return unchanged
    match fact:
        case RolloutControlRequested():
            return _controlled(rollout, fact, stored_at, now, around)
        case InferenceSummarized():
            evidence = with_summary(rollout, fact, stored_at)
            if evidence is rollout.evidence:
                return unchanged
            return _judged(replace(rollout, evidence=evidence), now, around)
        case ModelWithdrawn():
            return _recalled(rollout, fact, now, around)
        case RobotTaken():
            return _taken(rollout, fact)
        case Tick():
            return _judged(with_silent(rollout, fact, now), now, around)
        case (
            ModelActivated()
            | ModelStaged()
            | ModelShadowed()
            | ActivationFailed()
            | ModelFellBack()
            | RobotCheckedIn()
            | AlertFired()
        ):
            progress = progressed(rollout, fact, stored_at)
            if progress is None:
                return unchanged
            return _judged(with_robots(rollout, {fact.robot_id: progress}), now, around)
        case _:
            assert_never(fact)


def _judged(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """What the state as it now stands demands next."""
    if rollout.state is RolloutState.REVERTING:
        return reverted_further(rollout, now, around)
    reason = halt_reason(rollout)
    if reason:
        return halted(rollout, reason, now, around)
    if rollout.state is RolloutState.PAUSED:
        return Step(rollout=rollout)
    given = targeted(rollout, now, around)
    if given.targets:
        return given
    if count_unsettled(given.rollout, reached(rollout)):
        return _unless_stalled(given.rollout, now)
    if rollout.staging:
        return wave_started(replace(given.rollout, staging=False), 0, now, around)
    return _baked(given.rollout, now, around)


def _unless_stalled(rollout: Rollout, now: datetime) -> Step:
    """Who may not go on for long asks a person, and never waits in silence."""
    since, limit_s = rollout.withheld_since, rollout.policy.stalled_after_s
    if since is None or (now - since).total_seconds() < limit_s:
        return Step(rollout=rollout)
    return _paused(rollout, f"inconclusive: for {limit_s:g} s {rollout.withheld}", now)


def _baked(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """A settled wave bakes; then the next wave starts, or the rollout has succeeded."""
    if rollout.baking_since is None:
        return Step(rollout=replace(rollout, baking_since=now))
    baked_s = (now - rollout.baking_since).total_seconds()
    if baked_s < settled_hold_s(rollout):
        return Step(rollout=rollout)
    if rollout.evidence.canary.inferences < rollout.policy.min_inferences:
        return _without_evidence(rollout, baked_s, now)
    reason = condemned(rollout)
    if reason:
        return halted(rollout, reason, now, around)
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
    if rollout.wave + 1 < len(rollout.waves) and rollout.strategy is not Strategy.A_B:
        return done.then(wave_started(rollout, rollout.wave + 1, now, around))
    return done.then(_succeeded(rollout, now, around))


def _succeeded(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """Everybody who was to have the model did well with it; a shadowed one is discarded again."""
    proved = count(rollout, reached(rollout), RobotPhase.PROVED)
    reason = f"{proved} of {len(rollout.robots)} robots proved {rollout.model} and did well"
    if rollout.strategy is Strategy.SHADOW:
        reason = f"{rollout.model} saw live frames on {proved} robots and did no worse there"
        return discarded(rollout, reason, now, around)
    return ended(rollout, RolloutState.SUCCEEDED, now, reason)


def _without_evidence(rollout: Rollout, baked_s: float, now: datetime) -> Step:
    """No news is not good news: wait for telemetry, then pause and ask a person."""
    policy = rollout.policy
    if baked_s < settled_hold_s(rollout) + policy.silent_after_s:
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


def _recalled(rollout: Rollout, fact: ModelWithdrawn, now: datetime, around: Surroundings) -> Step:
    """Revocation beats delivery, and beats a return."""
    reason = recall_reason(rollout, fact)
    if reason and rollout.state is not RolloutState.REVERTING:
        return halted(rollout, reason, now, around)
    kept = without_return(rollout, fact)
    return Step(rollout=rollout) if kept is rollout else _judged(kept, now, around)


def _controlled(
    rollout: Rollout,
    asked: RolloutControlRequested,
    stored_at: datetime,
    now: datetime,
    around: Surroundings,
) -> Step:
    """An operator's word, heard once and in order: a copy of it is stored at the same instant."""
    if rollout.controlled_at is not None and stored_at <= rollout.controlled_at:
        return Step(rollout=rollout)
    return _obeyed(replace(rollout, controlled_at=stored_at), asked, now, around)


def _obeyed(
    rollout: Rollout, asked: RolloutControlRequested, now: datetime, around: Surroundings
) -> Step:
    by = asked.requested_by or "somebody"
    match asked.action:
        case ControlAction.PAUSE if rollout.state is RolloutState.RUNNING:
            return _paused(rollout, f"paused by {by}", now)
        case ControlAction.RESUME if rollout.state is RolloutState.PAUSED:
            return _resumed(rollout, now, around)
        case ControlAction.ABORT if asked.abort is AbortMode.KEEP:
            return ended(rollout, RolloutState.ABORTED, now, f"aborted by {by}, model kept")
        case ControlAction.ABORT if rollout.state is not RolloutState.REVERTING:
            return halted(rollout, f"aborted by {by}", now, around, RolloutState.ABORTED)
        case _:
            return Step(rollout=rollout)


def _paused(rollout: Rollout, reason: str, now: datetime) -> Step:
    paused = replace(
        rollout,
        state=RolloutState.PAUSED,
        reason=reason,
        baking_since=None,
        withheld="",
        withheld_since=None,
    )
    announced = RolloutPaused(rollout_id=rollout.rollout_id, reason=reason, paused_at=now)
    return Step(rollout=paused, events=(announced,))


def _resumed(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    running = replace(rollout, state=RolloutState.RUNNING, reason="")
    announced = RolloutResumed(rollout_id=rollout.rollout_id, resumed_at=now)
    return Step(rollout=running, events=(announced,)).then(_judged(running, now, around))
