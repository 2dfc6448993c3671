"""What would move a rollout, or a robot in it, next: deadlines, bakes, evidence, gates, people. Pure."""

from __future__ import annotations

from datetime import datetime

from fleetward.contracts.deadlines import (
    asks_at,
    baked_at,
    evidence_by,
    expected,
    given_up_at,
    held_back,
    in_phase,
    is_held_back,
    unknown_at,
)
from fleetward.contracts.gates import GateKind, Verdict
from fleetward.contracts.ids import RobotId
from fleetward.contracts.policies import is_steady
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutState,
    Strategy,
    is_open,
)
from fleetward.contracts.surroundings import Surroundings
from fleetward.contracts.wording import how_many, listed
from rollout_coordinator.admission import admitted
from rollout_coordinator.gates import awaited, checkpoint_of, gates_before, is_before_start
from rollout_coordinator.phases import standing
from rollout_coordinator.said import moment
from rollout_coordinator.step import count, counted, due_phase, in_wave, reached

_SETTLED = {
    RobotPhase.PROVED: "Nothing, unless it falls back, fails or the rollout is taken back.",
    RobotPhase.FAILED: "Nothing in this rollout: it serves what it served before.",
    RobotPhase.UNKNOWN: "Its word: it is counted again as soon as it is heard.",
    RobotPhase.SUPERSEDED: "Nothing in this rollout: a newer one owns it.",
    RobotPhase.REVERTING: "Its word that it serves the model before again.",
    RobotPhase.REVERTED: "Nothing: it is back on the model before.",
}


def moves(rollout: Rollout, now: datetime) -> tuple[str, ...]:
    """What the rollout waits for, a sentence each; empty once it has ended and nobody watches it."""
    here = rollout.rollout_id
    if rollout.state in FINAL_STATES:
        return _watched(rollout)
    if rollout.state is RolloutState.SCHEDULED and rollout.begins_at is not None:
        return (f"It is planned anew and begins at {moment(rollout.begins_at)}.",)
    if rollout.state is RolloutState.QUEUED:
        return (f"It begins when {', '.join(rollout.waits_for)} ended.",)
    if rollout.state is RolloutState.PAUSED:
        return (
            f"`fleetward rollout resume {here}` lets it go on.",
            f"`fleetward rollout abort {here}` ends it.",
        )
    if rollout.state is RolloutState.REVERTING:
        back = listed(in_phase(rollout, RobotPhase.REVERTING))
        waits = (f"Others wait: {rollout.withheld}.",) if rollout.withheld else ()
        return (f"It ends when {back or 'nobody'} went back to the model before.", *waits)
    patience = () if is_before_start(rollout) else (_patience(rollout),)
    return (*_waits(rollout, now), *patience)


def _waits(rollout: Rollout, now: datetime) -> list[str]:
    waits = [
        _gate(rollout, now),
        _withheld(rollout),
        _proofs(rollout),
        _swaps(rollout),
        _bake(rollout, now),
    ]
    return [sentence for sentence in waits if sentence]


def _watched(rollout: Rollout) -> tuple[str, ...]:
    if rollout.watched_until is None:
        return ()
    until = moment(rollout.watched_until)
    return (f"It {rollout.state.value}, and is watched until {until}.", f"{_threshold(rollout)}.")


def _gate(rollout: Rollout, now: datetime) -> str:
    missing = awaited(rollout, now) if rollout.checkpoint else ""
    if not missing:
        return ""
    goes_on = "begins" if is_before_start(rollout) else "goes on"
    here = rollout.rollout_id
    word = f" `fleetward rollout approve {here}` says yes." if _asks_people(rollout) else ""
    return f"It {goes_on} when its gates have passed: {missing}.{word}"


def _asks_people(rollout: Rollout) -> bool:
    return any(
        gate.kind is GateKind.APPROVAL and rollout.gates[gate.name].verdict is not Verdict.PASSED
        for gate in gates_before(rollout, checkpoint_of(rollout))
    )


def _withheld(rollout: Rollout) -> str:
    if not rollout.withheld or rollout.checkpoint:
        return ""
    until = asks_at(rollout)
    if until is None:
        return f"It may not go on now: {rollout.withheld}."
    return f"It may not go on now: {rollout.withheld}; at {moment(until)} it pauses and asks."


def _proofs(rollout: Rollout) -> str:
    robots = expected(rollout)
    if not robots:
        return ""
    first = min(unknown_at(rollout, rollout.robots[robot]) for robot in robots)
    return (
        f"It waits for word from {listed(robots)}; who did not do what it was asked by then counts as "
        f"unknown, the first at {moment(first)}."
    )


def _swaps(rollout: Rollout) -> str:
    """Who may not swap yet by its own word, and for how long that is waited for."""
    robots, until = held_back(rollout), given_up_at(rollout)
    if until is None:
        return ""
    return (
        f"{listed(robots)} may not swap yet ({rollout.robots[robots[0]].reason}); at {moment(until)} it "
        "goes on without them if the thresholds spare them, and else pauses and asks."
    )


def _bake(rollout: Rollout, now: datetime) -> str:
    """What the wave must go through, while it bakes: not at gates, nor once a person promoted it."""
    ends_at = baked_at(rollout)
    if ends_at is None or rollout.checkpoint or rollout.is_promoted:
        return ""
    if is_steady(rollout):
        finish = f"`fleetward rollout finish {rollout.rollout_id}` ends it"
        return f"It waits for robots that its selector names later; {finish}."
    bakes = "must do well" if now < ends_at else "baked"
    return f"The wave {bakes} until {moment(ends_at)}.{_lacking(rollout)}"


def _lacking(rollout: Rollout) -> str:
    """What telemetry has yet to show, and when it is asked for; empty where nobody needs it."""
    policy, seen = rollout.policy, rollout.evidence.canary.inferences
    until = evidence_by(rollout)
    if until is None or seen >= policy.min_inferences or not counted(rollout, in_wave(rollout)):
        return ""
    return (
        f" It lacks evidence: telemetry shows {seen} of at least {policy.min_inferences} inferences, "
        f"and without them it pauses at {moment(until)}."
    )


def _patience(rollout: Rollout) -> str:
    return f"{_threshold(rollout)}, or a comparison condemns the model."


def _threshold(rollout: Rollout) -> str:
    robots = counted(rollout, reached(rollout))
    failed, share = count(rollout, robots, RobotPhase.FAILED), rollout.policy.max_error_percent
    return (
        f"It is taken back when more than {share:g} % of {how_many(len(robots), 'robot')} fail "
        f"({failed} did)"
    )


def robot_moves(rollout: Rollout, robot: RobotId, around: Surroundings) -> tuple[str, ...]:
    """What would change where ``robot`` stands; it is one of the rollout's."""
    if not is_open(rollout):
        return ()
    progress = rollout.robots[robot]
    if robot in in_wave(rollout) and progress.phase is due_phase(rollout):
        return (_turn(rollout, robot, around),)
    match progress.phase:
        case RobotPhase.WAITING | RobotPhase.STAGED if rollout.state in FINAL_STATES:
            return ("Nothing in this rollout: it ended without it.",)
        case RobotPhase.WAITING if rollout.strategy is Strategy.A_B:
            return (
                "Nothing in this rollout: it keeps what it has, and the others are compared to it.",
            )
        case RobotPhase.WAITING | RobotPhase.STAGED:
            wave = _wave_of(rollout, robot)
            gated = "the rollout waits at gates before start"
            on = gated if is_before_start(rollout) else f"wave {rollout.wave + 1} is on"
            return (f"It is its turn in wave {wave}; {on}.",)
        case RobotPhase.TARGETED:
            return (_word(rollout, progress),)
        case RobotPhase.UNKNOWN if progress.targeted_at is None:
            return ("Nothing in this rollout: another one gives it its targets.",)
        case phase:
            return (_SETTLED[phase],)


def _word(rollout: Rollout, progress: RobotProgress) -> str:
    if is_held_back(progress):
        return f"Leave to swap, on the robot itself: {progress.reason}."
    deadline = moment(unknown_at(rollout, progress))
    return f"Its word that it did what it was asked; without it, it is unknown at {deadline}."


def _turn(rollout: Rollout, robot: RobotId, around: Surroundings) -> str:
    if rollout.state is not RolloutState.RUNNING:
        return f"The rollout is {rollout.state.value}: nobody is given anything."
    if rollout.checkpoint:
        return f"The rollout waits at gates before {rollout.checkpoint}."
    who = admitted(rollout, standing(rollout), (robot,), around)
    if who.robots:
        return "It is its turn: the next decision gives it the model."
    if who.withheld:
        return f"It may not have the model now: {who.withheld}."
    return (
        f"Others go first: at most {how_many(rollout.policy.max_unavailable, 'robot')}, and "
        f"{rollout.policy.max_unavailable_per_site} of a site, may be on the way at a time."
    )


def _wave_of(rollout: Rollout, robot: RobotId) -> str:
    number = next(number for number, wave in enumerate(rollout.waves, 1) if robot in wave)
    return f"{number} of {len(rollout.waves)}"
