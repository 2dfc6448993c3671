"""Gates: where a rollout waits for people, web services or quiet before it goes on. Pure.

Read aloud: before the first robot, before each further wave, before a switch and before success a
rollout stops if its policy has gates there. It goes on when every one of them has passed. An approval
is of the plan and the bytes it was given for, and never by who asked for the rollout. Who refuses
pauses the rollout with the reason; a gate that answers with errors, or not at all, is asked again until
the rollout has waited too long, and then it pauses and asks a person.
"""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.alerts import AlertFired
from fleetward.contracts.event import Event
from fleetward.contracts.gates import (
    MAX_APPROVALS,
    Checkpoint,
    Gate,
    GateAnswered,
    GateKind,
    GateState,
    RolloutApproved,
    Verdict,
)
from fleetward.contracts.ids import Digest, RolloutId
from fleetward.contracts.model_sets import called, parts
from fleetward.contracts.rollouts import Rollout, RolloutState
from fleetward.contracts.variants import wanted
from fleetward.contracts.wording import shortened

MAX_REASON_CHARACTERS = 300


class Question(Struct, frozen=True, kw_only=True):
    """May this rollout go on? What is POSTed to a webhook gate's ``url`` as JSON."""

    url: str
    rollout: RolloutId
    gate: str
    checkpoint: str
    model: str
    digest: Digest
    strategy: str
    plan: str
    wave: int
    robots: int
    round: int
    requested_by: str

    @property
    def key(self) -> str:
        """The same for every copy of the question, so that a service answers one twice alike."""
        return f"{self.rollout}:{self.checkpoint}:{self.gate}:{self.plan}:{self.round}"


def plan_of(rollout: Rollout) -> str:
    """What an approval is of: robots, waves, strategy, bytes and policy, as a SHA-256."""
    plan: tuple[object, ...] = (
        rollout.digest,
        rollout.strategy,
        rollout.policy,
        rollout.waves,
    )
    if rollout.variants:
        plan += (tuple(wanted(rollout, of).digest for of in rollout.robots.values()),)
    if rollout.together:
        plan += (rollout.together,)
        given = (parts(rollout, of) for of in rollout.robots.values())
        plan += (tuple(wanted(*part).digest for of in given for part in of),)
    return hashlib.sha256(msgspec.msgpack.encode(plan)).hexdigest()


def gates_before(rollout: Rollout, checkpoint: Checkpoint) -> tuple[Gate, ...]:
    """The policy's gates there, in their order."""
    return tuple(gate for gate in rollout.policy.gates if gate.before is checkpoint)


def stopped(rollout: Rollout, checkpoint: Checkpoint, now: datetime) -> Rollout:
    """The rollout at the checkpoint, with every gate of it still to pass."""
    wave = f" {rollout.wave + 2}" if checkpoint is Checkpoint.WAVE else ""
    return replace(
        rollout,
        checkpoint=f"{checkpoint.value}{wave}",
        checkpoint_since=now,
        gates={gate.name: GateState() for gate in gates_before(rollout, checkpoint)},
        plan=rollout.plan or plan_of(rollout),
    )


def left(rollout: Rollout) -> Rollout:
    """The rollout beyond its checkpoint."""
    return replace(rollout, checkpoint="", checkpoint_since=None, gates={})


def is_before_start(rollout: Rollout) -> bool:
    """Whether nobody was given anything yet, as gates stand before it."""
    return bool(rollout.checkpoint) and checkpoint_of(rollout) is Checkpoint.START


def checkpoint_of(rollout: Rollout) -> Checkpoint:
    """The kind of checkpoint that it waits at."""
    return Checkpoint(rollout.checkpoint.partition(" ")[0])


def with_word(rollout: Rollout, word: RolloutApproved | GateAnswered) -> Rollout:
    """The rollout with a word on its gates; the same object when it is of something else, or a copy."""
    return _answered(rollout, word) if isinstance(word, GateAnswered) else _approved(rollout, word)


def _approved(rollout: Rollout, word: RolloutApproved) -> Rollout:
    of_this = (rollout.checkpoint, rollout.digest, rollout.plan)
    if not rollout.checkpoint or (word.checkpoint, word.digest, word.plan) != of_this:
        return rollout
    if word.approved_by == rollout.requested_by:
        return rollout
    heard = {
        gate.name: _with_word(gate, rollout.gates[gate.name], word)
        for gate in gates_before(rollout, checkpoint_of(rollout))
        if gate.kind is GateKind.APPROVAL and word.gate in ("", gate.name)
    }
    return _with(rollout, heard)


def _answered(rollout: Rollout, answer: GateAnswered) -> Rollout:
    state = rollout.gates.get(answer.gate)
    if state is None or answer.checkpoint != rollout.checkpoint or _is_settled(state):
        return rollout
    if answer.round != state.round:
        return rollout
    said = replace(
        state, verdict=answer.verdict, reason=shortened(answer.reason, MAX_REASON_CHARACTERS)
    )
    return _with(rollout, {answer.gate: said})


def with_alert(rollout: Rollout, fact: Event, stored_at: datetime) -> Rollout:
    """The rollout with its newest alert, if it has gates that wait for quiet."""
    if not isinstance(fact, AlertFired):
        return rollout
    is_asked = any(gate.kind is GateKind.ALERT_FREE for gate in rollout.policy.gates)
    progress = rollout.robots.get(fact.robot_id)
    if not is_asked or progress is None or progress.targeted_at is None:
        return rollout
    given = (wanted(*part).digest for part in parts(rollout, progress))
    if fact.digest is not None and fact.digest not in given:
        return rollout
    if stored_at <= (rollout.alerted_at or progress.targeted_at):
        return rollout
    return replace(rollout, alerted_at=stored_at, last_alert=f"{fact.alert} on {fact.robot_id}")


def refusal(rollout: Rollout) -> str:
    """Who said no and why, or an empty string."""
    return next(
        (
            f"gate {name} refused: {state.reason}"
            for name, state in rollout.gates.items()
            if state.verdict is Verdict.REFUSED
        ),
        "",
    )


def asked_again(rollout: Rollout) -> Rollout:
    """Resumed after a refusal: the gates that refused are asked anew, also those who had agreed."""
    again = {
        name: GateState(round=state.round + 1)
        for name, state in rollout.gates.items()
        if state.verdict is Verdict.REFUSED
    }
    return _with(rollout, again)


def awaited(rollout: Rollout, now: datetime) -> str:
    """Which gate is still to pass and what it waits for, or an empty string."""
    for gate in gates_before(rollout, checkpoint_of(rollout)):
        reason = _awaited_of(gate, rollout, now)
        if reason:
            return f"before {rollout.checkpoint}, gate {gate.name} waits for {reason}"
    return ""


def questions(rollout: Rollout) -> tuple[Question, ...]:
    """What web services are to be asked now, each until it has settled its gate."""
    if not rollout.checkpoint or rollout.state is not RolloutState.RUNNING:
        return ()
    return tuple(
        Question(
            url=gate.url,
            rollout=rollout.rollout_id,
            gate=gate.name,
            checkpoint=rollout.checkpoint,
            model=called(rollout),
            digest=rollout.digest,
            strategy=rollout.strategy.value,
            plan=rollout.plan,
            wave=rollout.wave,
            robots=len(rollout.robots),
            round=rollout.gates[gate.name].round,
            requested_by=rollout.requested_by,
        )
        for gate in gates_before(rollout, checkpoint_of(rollout))
        if gate.kind is GateKind.WEBHOOK and not _is_settled(rollout.gates[gate.name])
    )


def _awaited_of(gate: Gate, rollout: Rollout, now: datetime) -> str:
    state = rollout.gates[gate.name]
    match gate.kind:
        case GateKind.APPROVAL:
            missing = gate.approvals - len(state.approved_by)
            return _missing(missing, gate.approvals) if missing > 0 else ""
        case GateKind.WEBHOOK:
            if state.verdict is Verdict.PASSED:
                return ""
            said = f": {state.reason}" if state.reason else ""
            return f"{gate.url}{said}"
        case GateKind.ALERT_FREE:
            return _awaited_quiet(gate, rollout, now)


def _missing(missing: int, approvals: int) -> str:
    return "1 approval" if approvals == 1 else f"{missing} more of {approvals} approvals"


def _awaited_quiet(gate: Gate, rollout: Rollout, now: datetime) -> str:
    """The stretch without alerts may have begun before the checkpoint, though not before the model."""
    since = max(rollout.alerted_at or rollout.wave_started_at, rollout.wave_started_at)
    left_s = gate.alert_free_s - (now - since).total_seconds()
    if left_s <= 0:
        return ""
    last = f"; last: {rollout.last_alert}" if rollout.alerted_at else ""
    return f"{gate.alert_free_s:g} s without an alert{last}"


def _with_word(gate: Gate, state: GateState, word: RolloutApproved) -> GateState:
    if state.verdict is Verdict.REFUSED:
        return state  # a no stands until the rollout is resumed
    if not word.is_approved:
        said = f" ({word.comment})" if word.comment else ""
        return replace(state, verdict=Verdict.REFUSED, reason=f"{word.approved_by} said no{said}")
    if word.approved_by in state.approved_by or len(state.approved_by) >= MAX_APPROVALS:
        return state
    agreed = (*state.approved_by, word.approved_by)
    verdict = Verdict.PASSED if len(agreed) >= gate.approvals else state.verdict
    return replace(state, approved_by=agreed, verdict=verdict)


def _is_settled(state: GateState) -> bool:
    return state.verdict in (Verdict.PASSED, Verdict.REFUSED)


def _with(rollout: Rollout, changed: dict[str, GateState]) -> Rollout:
    gates = {**rollout.gates, **changed}
    return rollout if gates == rollout.gates else replace(rollout, gates=gates)
