"""Every state of a robot x every target: where the next step leads, and what must never happen."""

from __future__ import annotations

import itertools
from datetime import datetime, timezone

import pytest
from msgspec.structs import replace

from edge_bridge.converging.actions import DiscardStaged, Fetch, Prove, Rest, Stage, Swap, SwapBack
from edge_bridge.converging.converge import (
    Memory,
    Placed,
    Slotted,
    accept,
    commit,
    forget_own,
    give_up,
    next_action,
    pinned,
    refusal_reason,
    return_to,
)
from fleetward.contracts.ids import ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.robots import RobotTarget
from testkit.telemetry import digest_of

ROBOT = RobotId("r1")
DIGESTS = {letter: digest_of(letter) for letter in "abc"}
MODELS = {letter: ModelRef(ModelName("det"), Version(letter)) for letter in "abc"}
PLACED = {letter: Placed(MODELS[letter], DIGESTS[letter]) for letter in "abc"}
MAX_STEPS = 8


def target(letter: str, generation: int, robot: str = "r1") -> RobotTarget:
    return RobotTarget(
        robot_id=RobotId(robot),
        generation=generation,
        rollout_id=RolloutId("ro1"),
        model=MODELS[letter],
        digest=DIGESTS[letter],
        issued_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
    )


def every_slotted() -> list[Slotted]:
    """The slots never hold one model twice; the store may hold any models."""
    holdable = [None, *DIGESTS.values()]
    return [
        Slotted(active=active, warm=warm, staged=staged, stored=frozenset(stored))
        for active, warm, staged in itertools.product(holdable, repeat=3)
        if active is not None or warm is None
        for held in [[one for one in (active, warm, staged) if one]]
        if len(held) == len(set(held))
        for size in range(4)
        for stored in itertools.combinations(DIGESTS.values(), size)
    ]


def every_memory() -> list[Memory]:
    placings = [None, *PLACED.values()]
    return [
        Memory(
            target=target(letter, 5) if letter else None,
            settled_generation=settled if letter else 0,
            active=active,
            previous=previous,
        )
        for letter in (None, *"abc")
        for settled in (4, 5)
        for active, previous in itertools.product(placings, repeat=2)
        if active is None or active != previous
    ]


def perform(action: object, memory: Memory, slotted: Slotted) -> tuple[Memory, Slotted]:
    """What each action does to the world when it succeeds."""
    wanted = memory.target.digest if memory.target else None
    if isinstance(action, Fetch):
        assert wanted
        return memory, replace(slotted, stored=slotted.stored | {wanted})
    if isinstance(action, Stage):
        return memory, replace(slotted, staged=wanted)
    if isinstance(action, DiscardStaged):
        return memory, replace(slotted, staged=None)
    if isinstance(action, Swap):
        return memory, replace(slotted, active=wanted, warm=slotted.active, staged=None)
    if isinstance(action, SwapBack):
        return memory, replace(slotted, active=slotted.warm, warm=None)
    assert isinstance(action, Prove)
    return commit(memory), slotted


@pytest.mark.parametrize("memory", every_memory(), ids=repr)
def test_every_state_comes_to_rest_on_the_target_or_on_the_robots_own_model(memory: Memory) -> None:
    for start in every_slotted():
        now, slotted = memory, start
        for _ in range(MAX_STEPS):
            action = next_action(now, slotted)
            if isinstance(action, Rest):
                break
            now, slotted = perform(action, now, slotted)
        else:
            pytest.fail(f"never rests from {start}")
        if memory.target and memory.settled_generation < memory.generation:
            assert slotted.active == memory.target.digest
            assert now.active == Placed(memory.target.model, memory.target.digest)
            assert now.settled_generation == memory.generation
        assert slotted.staged is None


@pytest.mark.parametrize("memory", every_memory(), ids=repr)
def test_no_step_does_what_is_not_needed_or_not_allowed(memory: Memory) -> None:
    for slotted in every_slotted():
        action = next_action(memory, slotted)
        wanted = memory.target.digest if memory.target else None
        held = {slotted.active, slotted.warm, slotted.staged}
        is_open = memory.settled_generation < memory.generation
        if isinstance(action, Fetch):
            assert wanted not in held | slotted.stored, "bytes that are here are not fetched"
        if isinstance(action, Stage):
            assert wanted in slotted.stored
        if isinstance(action, Swap):
            assert slotted.staged == wanted, "only the wanted model is swapped in"
        if isinstance(action, SwapBack):
            assert slotted.warm is not None
        if isinstance(action, Prove):
            assert slotted.active == wanted
        if not is_open:
            assert isinstance(action, Rest | DiscardStaged | SwapBack), "a settled target is done"
        if not is_open and memory.active and slotted.active == memory.active.digest:
            assert isinstance(action, Rest | DiscardStaged), "what is the robot's own stays"


def test_a_model_that_failed_its_proof_gives_way_to_the_warm_one() -> None:
    failed = give_up(Memory(target=target("b", 2), active=PLACED["a"]))
    swapped = Slotted(active=DIGESTS["b"], warm=DIGESTS["a"], stored=frozenset(DIGESTS.values()))
    assert next_action(failed, swapped) == SwapBack()


def test_a_rollback_to_the_warm_model_moves_no_byte_and_starts_no_worker() -> None:
    memory = Memory(target=target("a", 3), settled_generation=2, active=PLACED["b"])
    slotted = Slotted(active=DIGESTS["b"], warm=DIGESTS["a"])
    assert next_action(memory, slotted) == SwapBack()


def test_a_newer_generation_of_the_served_model_is_only_proved() -> None:
    memory = Memory(target=target("a", 9), settled_generation=8, active=PLACED["a"])
    assert next_action(memory, Slotted(active=DIGESTS["a"])) == Prove()


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (target("b", 4), "older than 5"),
        (target("b", 5), "with other contents"),
        (target("b", 6, robot="r2"), "it is for r2"),
        (target("b", 0), "not positive"),
        (target("b", -1), "not positive"),
    ],
)
def test_a_target_that_is_old_foreign_or_contradictory_is_refused(
    offered: RobotTarget, reason: str
) -> None:
    refused = refusal_reason(ROBOT, offered, Memory(target=target("a", 5)))
    assert refused is not None
    assert reason in refused


def test_the_same_target_again_changes_nothing() -> None:
    memory = Memory(target=target("a", 5), settled_generation=5, bytes_fetched=7)
    assert refusal_reason(ROBOT, target("a", 5), memory) is None
    assert accept(memory, target("a", 5), "trace") is memory


def test_a_newer_target_starts_its_own_account() -> None:
    memory = accept(Memory(target=target("a", 5), bytes_fetched=7), target("b", 6), "trace")
    assert (memory.generation, memory.bytes_fetched, memory.traceparent) == (6, 0, "trace")


def test_falling_back_keeps_a_newer_target_open() -> None:
    memory = Memory(
        target=target("c", 6), settled_generation=5, active=PLACED["b"], previous=PLACED["a"]
    )
    back = return_to(memory, PLACED["a"])
    assert (back.active, back.previous) == (PLACED["a"], PLACED["b"])
    assert next_action(back, Slotted(active=DIGESTS["a"])) == Fetch()


def test_a_robot_that_fell_back_does_not_try_the_same_generation_again() -> None:
    proved = commit(Memory(target=target("b", 5), active=PLACED["a"]))
    back = return_to(proved, PLACED["a"])
    slotted = Slotted(active=DIGESTS["a"], stored=frozenset(DIGESTS.values()))
    assert next_action(back, slotted) == Rest()


def test_a_robot_that_can_start_neither_of_its_models_fetches_its_target_again() -> None:
    proved = commit(Memory(target=target("b", 5), active=PLACED["a"]))
    assert next_action(forget_own(proved), Slotted()) == Fetch()


def test_what_is_served_wanted_or_returned_to_is_pinned() -> None:
    memory = Memory(target=target("c", 6), active=PLACED["b"], previous=PLACED["a"])
    assert pinned(memory) == set(DIGESTS.values())
