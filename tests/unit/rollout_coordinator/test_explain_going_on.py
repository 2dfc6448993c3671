"""A rollout that went on is explained by what had sufficed, and one at its first gate by the gate."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.control import ControlAction
from fleetward.contracts.gates import Checkpoint, Gate, GateKind
from fleetward.contracts.surroundings import NOTHING_AROUND
from rollout_coordinator.advance import Fact
from rollout_coordinator.explain import stands
from rollout_coordinator.moves import moves, robot_moves
from rollout_coordinator.step import Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.gate_words import approval
from tests.unit.rollout_coordinator.test_explain import asked
from tests.unit.rollout_coordinator.test_gates import SAFETY, TWIN, gated
from tests.unit.rollout_coordinator.test_replay import Coordinator

TO_WAVE_2: list[tuple[Fact, float]] = [
    (scenes.activated(1), 1),
    (scenes.activated(2), 2),
    (Tick(), 3),
    (scenes.summary(1, 10, inferences=8), 10),
    (scenes.summary(2, 14, inferences=8), 14),
]


def lived(*facts: tuple[Fact, float]) -> Coordinator:
    coordinator = Coordinator(scenes.planned(2, 1))
    for fact, second in facts:
        coordinator.tell([(fact, scenes.at(second))], second)
    return coordinator


def test_next_wave_is_explained_by_proofs_bake_and_telemetry_and_then_by_the_last_fact() -> None:
    newest = asked(lived(*TO_WAVE_2)).why[-1]
    assert newest.effect == "wave 2 of 2 began"
    assert newest.cause == (
        "2 of 2 robots had proved the model, its wave had done well for 12 s, and telemetry showed "
        "16 of at least 10 inferences; last, telemetry told at 2026-01-01 12:00:14 UTC of 8 "
        "inferences on r2"
    )


def test_success_is_explained_by_what_sufficed() -> None:
    end: list[tuple[Fact, float]] = [
        (scenes.activated(3), 20),
        (scenes.summary(3, 25, inferences=12), 25),
        (Tick(), 40),
    ]
    newest = asked(lived(*TO_WAVE_2, *end)).why[-1]
    assert newest.effect == "it has succeeded: 3 of 3 robots proved detector:2 and did well"
    assert newest.cause.startswith("3 of 3 robots had proved the model, its wave had done well for")
    assert newest.cause.endswith(
        "12 of at least 10 inferences; last, time went by until 2026-01-01 12:00:40 UTC"
    )


def test_person_who_promoted_it_is_the_cause() -> None:
    promoted = (scenes.asked(ControlAction.PROMOTE), 5)
    newest = asked(lived(*TO_WAVE_2[:2], promoted, (Tick(), 6), (Tick(), 7))).why[-1]
    assert newest.effect == "wave 2 of 2 began"
    assert "a person had promoted it" in newest.cause or "to promote it" in newest.cause


def test_gate_that_passed_is_the_cause() -> None:
    end = Gate(name="board", kind=GateKind.APPROVAL, before=Checkpoint.WAVE)
    policy = replace(scenes.POLICY, gates=(end,))
    coordinator = Coordinator(scenes.planned(2, 1, policy=policy))
    for fact, second in TO_WAVE_2:
        coordinator.tell([(fact, scenes.at(second))], second)
    coordinator.tell([(approval(coordinator.rollout, "bob"), scenes.at(20))], 20)
    at_gate, passed = asked(coordinator).why[-2:]
    assert at_gate.cause.startswith("2 of 2 robots had proved the model")
    assert at_gate.effect.startswith("it waits at gates before wave 2")
    assert passed.effect == "wave 2 of 2 began; gates passed"
    assert (
        passed.cause
        == "before wave 2, board had passed; last, bob said yes at 2026-01-01 12:00:20 UTC"
    )


def test_rollout_before_its_start_gate_is_said_to_have_given_nobody_anything() -> None:
    waiting = gated(SAFETY)
    assert stands(waiting) == (
        "here (detector:2) is running and has not begun: it waits at gates before its first wave, and "
        "no robot was given the model."
    )
    assert moves(waiting, scenes.at(1)) == (
        "It begins when its gates have passed: before start, gate safety waits for 2 more of 2 "
        "approvals. `fleetward rollout approve here` says yes.",
    )


def test_robot_of_a_rollout_before_its_start_gate_is_told_so() -> None:
    waiting = gated(SAFETY)
    assert robot_moves(waiting, scenes.robot(2), NOTHING_AROUND) == (
        "It is its turn in wave 2 of 2; the rollout waits at gates before start.",
    )


@pytest.mark.parametrize("is_people", [True, False])
def test_only_a_gate_that_asks_people_names_the_command_that_says_yes(is_people: bool) -> None:
    gate = replace(SAFETY if is_people else TWIN, before=Checkpoint.START)
    assert ("rollout approve" in moves(gated(gate), scenes.at(1))[0]) is is_people
