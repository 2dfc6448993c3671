"""Each state and each kind of fact: what comes of it. Every pair has its answer here."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.rollouts import FINAL_STATES, RobotProgress, Rollout
from fleetward.contracts.rollouts import RolloutState as State
from rollout_coordinator.advance import Fact
from rollout_coordinator.joining import RobotsMatched
from rollout_coordinator.step import RobotTaken, Step, Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.gate_words import approval, gate_answer
from tests.unit.rollout_coordinator.invariants import check
from tests.unit.rollout_coordinator.takeover_scenes import superseded, watched

LATER_S = 61
"""Past the deadline for silence."""

FACTS: dict[str, Fact] = {
    "proof": scenes.activated(1),
    "staged": scenes.staged(1),
    "shadowed": scenes.shadowed(1),
    "return proved": scenes.activated(1, generation=6, digest=scenes.OLD),
    "failure": scenes.failed(1),
    "fall-back": scenes.fell_back(1),
    "heartbeat on the new model": scenes.checked_in(1),
    "heartbeat on the old model": scenes.checked_in(1, generation=6, digest=scenes.OLD),
    "critical alert": scenes.alert(1),
    "silence before a proof": scenes.silent(1),
    "summary": scenes.summary(1, LATER_S),
    "approval of nothing": approval(scenes.started(1, 2)),
    "answer to nothing": gate_answer(scenes.started(1, 2)),
    "pause": scenes.asked(ControlAction.PAUSE),
    "resume": scenes.asked(ControlAction.RESUME),
    "abort": scenes.asked(ControlAction.ABORT),
    "abort, keep": scenes.asked(ControlAction.ABORT, AbortMode.KEEP),
    "withdrawal of the model": scenes.withdrawn(scenes.NEW),
    "withdrawal of what was before": scenes.withdrawn(scenes.OLD),
    "finish": scenes.asked(ControlAction.FINISH),
    "taken": RobotTaken(scenes.robot(1), "rollout elsewhere"),
    "robots that match later": RobotsMatched({scenes.robot(9): RobotProgress()}),
    "tick": Tick(),
    "promote": scenes.asked(ControlAction.PROMOTE),
    "promote to all": scenes.asked(ControlAction.PROMOTE, to_all=True),
    "retry": scenes.asked(ControlAction.RETRY),
    "roll back": scenes.asked(ControlAction.ROLLBACK),
    "superseded": superseded(1),
}

NOTHING = "nothing"
REMEMBERED = "remembered"
REFUSED = "refused, with a reason"
HALTED = "reverting: RolloutHalted, 1 targets"
REOPENED = "reverting: RolloutReopened, RolloutHalted, 1 targets"
BEFORE_IT_BEGAN = dict.fromkeys(FACTS, NOTHING) | {
    "abort": "aborted: RolloutEnded",
    "abort, keep": "aborted: RolloutEnded",
    "withdrawal of the model": "refused: RolloutEnded",
}
AFTER_SUCCESS = dict.fromkeys(FACTS, NOTHING) | {"roll back": REOPENED}
WHILE_WATCHED = AFTER_SUCCESS | {
    "failure": REOPENED,
    "fall-back": REOPENED,
    "critical alert": REOPENED,
    "silence before a proof": REMEMBERED,
    "withdrawal of the model": REOPENED,
    "withdrawal of what was before": REMEMBERED,
    "taken": REMEMBERED,
    "superseded": "succeeded: RobotsSuperseded",
}
WHILE_OPEN = {
    State.SCHEDULED: BEFORE_IT_BEGAN,
    State.QUEUED: BEFORE_IT_BEGAN | {"superseded": "queued: RobotsSuperseded"},
    State.RUNNING: {
        "proof": REMEMBERED,
        "staged": NOTHING,
        "shadowed": NOTHING,
        "return proved": NOTHING,
        "failure": HALTED,
        "fall-back": HALTED,
        "heartbeat on the new model": NOTHING,
        "heartbeat on the old model": NOTHING,
        "critical alert": HALTED,
        "silence before a proof": NOTHING,
        "summary": REMEMBERED,
        "approval of nothing": NOTHING,
        "answer to nothing": NOTHING,
        "pause": "paused: RolloutPaused",
        "resume": REFUSED,
        "abort": HALTED,
        "abort, keep": "aborted: RolloutEnded",
        "withdrawal of the model": HALTED,
        "withdrawal of what was before": REMEMBERED,
        "finish": REFUSED,
        "taken": REMEMBERED,
        "robots that match later": NOTHING,
        "tick": HALTED,
        "promote": "running: RolloutPromoted",
        "promote to all": "running: RolloutPromoted",
        "retry": REFUSED,
        "roll back": REFUSED,
        "superseded": "running: RobotsSuperseded",
    },
    State.PAUSED: {
        "proof": REMEMBERED,
        "staged": NOTHING,
        "shadowed": NOTHING,
        "return proved": NOTHING,
        "failure": HALTED,
        "fall-back": HALTED,
        "heartbeat on the new model": NOTHING,
        "heartbeat on the old model": NOTHING,
        "critical alert": HALTED,
        "silence before a proof": NOTHING,
        "summary": REMEMBERED,
        "approval of nothing": NOTHING,
        "answer to nothing": NOTHING,
        "pause": REFUSED,
        "resume": "running: RolloutResumed",
        "abort": HALTED,
        "abort, keep": "aborted: RolloutEnded",
        "withdrawal of the model": HALTED,
        "withdrawal of what was before": REMEMBERED,
        "finish": REFUSED,
        "taken": REMEMBERED,
        "robots that match later": NOTHING,
        "tick": HALTED,
        "promote": REFUSED,
        "promote to all": REFUSED,
        "retry": REFUSED,
        "roll back": REFUSED,
        "superseded": "paused: RobotsSuperseded",
    },
    State.REVERTING: {
        "proof": NOTHING,
        "staged": NOTHING,
        "shadowed": NOTHING,
        "return proved": "reverted: RolloutEnded",
        "failure": NOTHING,
        "fall-back": NOTHING,
        "heartbeat on the new model": NOTHING,
        "heartbeat on the old model": "reverted: RolloutEnded",
        "critical alert": NOTHING,
        "silence before a proof": NOTHING,
        "summary": NOTHING,
        "approval of nothing": NOTHING,
        "answer to nothing": NOTHING,
        "pause": REFUSED,
        "resume": REFUSED,
        "abort": REFUSED,
        "abort, keep": "aborted: RolloutEnded",
        "withdrawal of the model": NOTHING,
        "withdrawal of what was before": "reverted: RolloutEnded",
        "finish": REFUSED,
        "taken": REMEMBERED,
        "robots that match later": NOTHING,
        "tick": NOTHING,
        "promote": REFUSED,
        "promote to all": REFUSED,
        "retry": REFUSED,
        "roll back": REFUSED,
        "superseded": "reverting: RobotsSuperseded",
    },
}


def in_state(state: State) -> Rollout:
    """A rollout of one and two robots whose first robot was given the model."""
    running = scenes.started(1, 2)
    match state:
        case State.RUNNING:
            return running
        case State.PAUSED:
            return scenes.after(running, (scenes.asked(ControlAction.PAUSE), 1))
        case State.REVERTING:
            return scenes.after(running, (scenes.failed(1), 1))
        case State.SCHEDULED:
            return replace(running, state=state, waves=(), robots={}, begins_at=scenes.at(999))
        case State.QUEUED:
            queued = replace(scenes.planned(1, 2), state=state)
            return replace(queued, waits_for=(scenes.ELSEWHERE,))
        case _:
            return replace(running, state=state)


def outcome(before: Rollout, step: Step) -> str:
    """A decision in words."""
    if step.rollout is before:
        assert not step.events
        assert not step.targets
        return NOTHING
    if not step.events:
        assert not step.targets
        assert step.rollout.state is before.state
        word = step.rollout.word
        is_refused = word is not None and word is not before.word and word.refused
        return REFUSED if is_refused else REMEMBERED
    words = [type(event).__name__ for event in step.events]
    words += [f"{len(step.targets)} targets"] if step.targets else []
    return f"{step.rollout.state.value}: {', '.join(words)}"


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", FACTS)
def test_each_state_answers_each_fact(state: State, name: str) -> None:
    before = in_state(state)
    step = scenes.told(before, FACTS[name], LATER_S)
    check(before, FACTS[name], step)
    ended = AFTER_SUCCESS if state is State.SUCCEEDED else dict.fromkeys(FACTS, NOTHING)
    answers = ended if state in FINAL_STATES else WHILE_OPEN[state]
    assert outcome(before, step) == answers[name]


@pytest.mark.parametrize("name", FACTS)
def test_a_watched_success_answers_each_fact(name: str) -> None:
    proved = scenes.after(scenes.started(1), (scenes.activated(1), 1))
    before = watched(proved, 2 * LATER_S)
    step = scenes.told(before, FACTS[name], LATER_S)
    check(before, FACTS[name], step)
    assert outcome(before, step) == WHILE_WATCHED[name]


def test_the_table_knows_every_kind_of_fact_and_every_open_state() -> None:
    assert {type(fact) for fact in FACTS.values()} == set(get_args(Fact))
    assert set(WHILE_OPEN) == set(State) - FINAL_STATES
    assert all(answers.keys() == FACTS.keys() for answers in WHILE_OPEN.values())
