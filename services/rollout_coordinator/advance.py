"""The rollout's state machine: old state and a fact in, new state and effects out.

Read aloud: a rollout gives its model to one wave of robots at a time, to as many of them as may be
given it now (``admission``). A wave is settled when each of its robots has proved the model, failed,
or stayed silent past the deadline; who falls silent after its proof holds the rollout up until it is
heard again, or is unknown too; who is heard and may not swap yet is waited for (``held``). Too many failures at any moment, too few proofs at settlement, or a
condemnation by comparison halts the rollout and takes the model back. A settled wave bakes; when it
baked long enough on enough evidence, the next wave starts, and after the last one the rollout has
succeeded. A blue-green rollout has everybody stage the model first, and then its waves switch. An A/B
rollout ends with its first wave, a shadow one by discarding the model everywhere. A continuous one is
steady after its last wave: robots that match later join it, and it ends once nobody may any more.

One that is scheduled, or queued for robots of others, has not begun: it is planned anew when it is due
(``waiting``). Where its policy has gates, a rollout waits for them before it goes on (``gates``).
Promoted, it waits neither for the rest of the bake nor for evidence. Paused, it goes no further but is
judged all the same; one that may not go on for too long pauses and asks. What a newer rollout took over
is superseded: it is touched no more, and counts for nothing. A success may be watched for a time: what
would have halted the rollout opens it again (``aftermath``).
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from fleetward.contracts.control import RolloutControlRequested
from fleetward.contracts.gates import Checkpoint, GateAnswered, RolloutApproved
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.policies import is_steady, settled_hold_s
from fleetward.contracts.rollout_events import (
    RolloutStarted,
    WaveCompleted,
)
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotPhase,
    Rollout,
    RolloutState,
    Strategy,
    is_open,
)
from fleetward.contracts.surroundings import NOTHING_AROUND, Surroundings
from fleetward.contracts.telemetry import InferenceSummarized
from rollout_coordinator.aftermath import watched_on
from rollout_coordinator.checkpoints import at_checkpoint, before
from rollout_coordinator.control import controlled
from rollout_coordinator.evidence import with_summary
from rollout_coordinator.gates import (
    is_before_start,
    with_alert,
    with_word,
)
from rollout_coordinator.halting import condemned_at_end, halt_reason
from rollout_coordinator.hearing import progressed
from rollout_coordinator.held import unless_held_up
from rollout_coordinator.joining import RobotsMatched, joined
from rollout_coordinator.pausing import paused, unless_stalled
from rollout_coordinator.phases import Standing, is_settled, standing
from rollout_coordinator.recall import recall_reason, without_return
from rollout_coordinator.revert import halted, reverted_further
from rollout_coordinator.robot_facts import RobotFact
from rollout_coordinator.step import (
    RobotTaken,
    Step,
    Superseded,
    Tick,
    count,
    counted,
    in_wave,
    with_robots,
)
from rollout_coordinator.superseding import superseded, taken
from rollout_coordinator.waiting import is_waiting, waited
from rollout_coordinator.waves import targeted, with_silent
from rollout_coordinator.written_down import WriteDown, in_a_copy

Report = RobotFact | InferenceSummarized | RolloutApproved | GateAnswered
Fact = (
    Report
    | RolloutControlRequested
    | ModelWithdrawn
    | RobotTaken
    | RobotsMatched
    | Superseded
    | Tick
)


def begun(rollout: Rollout, now: datetime, around: Surroundings = NOTHING_AROUND) -> Step:
    """The first step of a planned rollout: it exists, and its first wave starts, or waits at gates.

    One that is scheduled or queued only exists.
    """
    if is_waiting(rollout):
        return Step(rollout=rollout)
    announced = RolloutStarted(
        rollout_id=rollout.rollout_id,
        model=rollout.model,
        digest=rollout.digest,
        variants=rollout.variants,
        together=rollout.together,
        strategy=rollout.strategy,
        wave_sizes=tuple(len(wave) for wave in rollout.waves),
        started_at=now,
    )
    started = Step(rollout=rollout, events=(announced,))
    return started.then(before(rollout, Checkpoint.START, now, around))


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
    if is_waiting(rollout):
        return waited(rollout, fact, now)
    match fact:
        case RolloutControlRequested():
            return _steered(rollout, fact, stored_at, now, around)
        case Superseded():
            return superseded(rollout, fact, now) if is_open(rollout) else Step(rollout=rollout)
        case _ if rollout.state in FINAL_STATES:
            is_watched = rollout.watched_until is not None
            watched = watched_on(rollout, fact, stored_at, now, around) if is_watched else None
            return watched or Step(rollout=rollout)
        case ModelWithdrawn():
            return _recalled(rollout, fact, now, around)
        case RobotTaken():
            return Step(rollout=taken(rollout, fact))
        case RobotsMatched():
            return joined(rollout, fact, now)
        case Tick():
            return judged(with_silent(rollout, fact, now), now, around)
        case _:
            told = reported(rollout, fact, stored_at)
            return Step(rollout=rollout) if told is rollout else judged(told, now, around)


def reported(
    rollout: Rollout, fact: Report, stored_at: datetime, write_down: WriteDown = in_a_copy
) -> Rollout:
    """The rollout with what was reported written down; the same object when that changes nothing."""
    if rollout.state in FINAL_STATES:
        return rollout
    match fact:
        case InferenceSummarized():
            evidence = with_summary(rollout, fact, stored_at, write_down)
            is_counted = evidence is not rollout.evidence
            return replace(rollout, evidence=evidence) if is_counted else rollout
        case RolloutApproved() | GateAnswered():
            return with_word(rollout, fact)
        case _:
            progress = progressed(rollout, fact, stored_at)
            noted = with_alert(rollout, fact, stored_at)
            return with_robots(noted, {fact.robot_id: progress}, write_down) if progress else noted


def judged(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """What the state as it now stands demands next."""
    if rollout.state is RolloutState.REVERTING:
        return reverted_further(rollout, now, around)
    stands = standing(rollout)
    reason = halt_reason(rollout, stands)
    if reason:
        return halted(rollout, reason, now, around)
    if rollout.state is RolloutState.PAUSED:
        return Step(rollout=rollout)
    return _gone_further(rollout, stands, now, around)


def _gone_further(rollout: Rollout, stands: Standing, now: datetime, around: Surroundings) -> Step:
    """What a rollout that does well may do next."""
    if is_before_start(rollout):
        return at_checkpoint(rollout, now, around)
    given = targeted(rollout, stands, now, around)
    if given.targets:
        return given
    if not is_settled(rollout, stands):
        stalled = unless_stalled(given.rollout, now)
        return stalled if stalled.events else unless_held_up(given.rollout, now)
    if rollout.checkpoint:
        return at_checkpoint(rollout, now, around)
    if rollout.staging:
        return before(given.rollout, Checkpoint.SWITCH, now, around)
    return _baked(given.rollout, now, around)


def _baked(rollout: Rollout, now: datetime, around: Surroundings) -> Step:
    """A settled wave bakes; then the next wave starts, or the rollout has succeeded."""
    if rollout.baking_since is None:
        return Step(rollout=replace(rollout, baking_since=now))
    baked_s = (now - rollout.baking_since).total_seconds()
    if not rollout.is_promoted and baked_s < settled_hold_s(rollout):
        return Step(rollout=rollout)
    needs_evidence = not rollout.is_promoted and counted(rollout, in_wave(rollout))
    if needs_evidence and rollout.evidence.canary.inferences < rollout.policy.min_inferences:
        return _without_evidence(rollout, baked_s, now)
    reason = condemned_at_end(rollout)
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
    is_last = rollout.wave + 1 == len(rollout.waves) or rollout.strategy is Strategy.A_B
    following = Checkpoint.END if is_last else Checkpoint.WAVE
    is_told = is_steady(rollout)
    if is_last and rollout.is_continuous:
        steady = replace(rollout, steady_since=now)
        return Step(rollout=rollout) if is_told else Step(rollout=steady, events=(completed,))
    done = Step(rollout=rollout, events=() if is_told else (completed,))
    return done.then(before(rollout, following, now, around))


def _without_evidence(rollout: Rollout, baked_s: float, now: datetime) -> Step:
    """No news is not good news: wait for telemetry, then pause and ask a person."""
    policy = rollout.policy
    if baked_s < settled_hold_s(rollout) + policy.silent_after_s:
        return Step(rollout=rollout)
    seen = rollout.evidence.canary.inferences
    return paused(
        rollout,
        f"inconclusive: telemetry shows {seen} of at least {policy.min_inferences} inferences "
        f"{baked_s:.0f} s after the wave settled",
        now,
    )


def _recalled(rollout: Rollout, fact: ModelWithdrawn, now: datetime, around: Surroundings) -> Step:
    """Revocation beats delivery, and beats a return."""
    reason = recall_reason(rollout, fact)
    if reason and rollout.state is not RolloutState.REVERTING:
        return halted(rollout, reason, now, around)
    kept = without_return(rollout, fact)
    return Step(rollout=rollout) if kept is rollout else judged(kept, now, around)


def _steered(
    rollout: Rollout,
    asked: RolloutControlRequested,
    stored_at: datetime,
    now: datetime,
    around: Surroundings,
) -> Step:
    """A person's word, and what it makes possible at once."""
    step = controlled(rollout, asked, stored_at, now, around)
    goes_on = bool(step.events) and step.rollout.state is RolloutState.RUNNING
    return step.then(judged(step.rollout, now, around)) if goes_on else step
