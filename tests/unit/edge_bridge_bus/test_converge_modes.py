"""A target that is only staged, or waits for its instant: every state, and what must never happen."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from msgspec.structs import replace

from edge_bridge.converging.actions import (
    AwaitSwap,
    Compare,
    DiscardStaged,
    EndShadow,
    Fetch,
    Prove,
    Refuse,
    ReportStaged,
    Rest,
    RetireWarm,
    Stage,
    StartShadow,
    Swap,
    SwapBack,
)
from edge_bridge.converging.converge import (
    Memory,
    Placed,
    Slotted,
    accept,
    commit,
    give_up,
    hold,
    next_action,
)
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.robots import RobotTarget, TargetMode
from tests.unit.edge_bridge_bus.test_converge import (
    DIGESTS,
    MAX_STEPS,
    PLACED,
    every_slotted,
    perform,
    target,
)


def to_stage(letter: str, generation: int) -> RobotTarget:
    return replace(target(letter, generation), mode=TargetMode.STAGE)


def to_shadow(letter: str, generation: int) -> RobotTarget:
    return replace(target(letter, generation), mode=TargetMode.SHADOW)


def every_memory(wanted: RobotTarget) -> list[Memory]:
    placings = [None, *PLACED.values()]
    return [
        Memory(
            target=wanted,
            settled_generation=4,
            held_generation=held,
            active=active,
            previous=previous,
        )
        for held in (0, 5)
        for active, previous in itertools.product(placings, repeat=2)
        if active is None or active != previous
    ]


def after(action: object, memory: Memory, slotted: Slotted) -> tuple[Memory, Slotted]:
    wanted = memory.target.digest if memory.target else None
    if isinstance(action, ReportStaged | Compare):
        return hold(memory), slotted
    if isinstance(action, StartShadow):
        return memory, replace(slotted, shadow=wanted)
    if isinstance(action, EndShadow):
        return memory, replace(slotted, shadow=None)
    if isinstance(action, RetireWarm):
        return memory, replace(slotted, warm=None)
    return perform(action, memory, slotted)


@pytest.mark.parametrize("memory", every_memory(to_stage("b", 5)), ids=repr)
def test_a_model_to_stage_ends_warm_reported_once_and_what_served_serves(memory: Memory) -> None:
    for start in every_slotted():
        now, slotted, reports = memory, start, 0
        for _ in range(MAX_STEPS):
            action = next_action(now, slotted)
            if isinstance(action, Rest):
                break
            assert not isinstance(action, Swap | Prove | AwaitSwap), "nothing is to serve"
            reports += isinstance(action, ReportStaged)
            now, slotted = after(action, now, slotted)
        else:
            pytest.fail(f"never rests from {start}")
        assert DIGESTS["b"] in {slotted.active, slotted.warm, slotted.staged}
        assert now.held_generation == 5
        assert reports == (memory.held_generation != 5)
        assert now.active == memory.active


@pytest.mark.parametrize("memory", every_memory(to_shadow("b", 5)), ids=repr)
def test_a_model_to_shadow_ends_beside_what_serves_and_is_reported_once(memory: Memory) -> None:
    for start, shadow in itertools.product(every_slotted(), [None, *DIGESTS.values()]):
        now, slotted, reports = memory, replace(start, shadow=shadow), 0
        for _ in range(MAX_STEPS):
            action = next_action(now, slotted)
            if isinstance(action, Rest):
                break
            assert not isinstance(action, Swap | Prove | AwaitSwap | Stage), "nothing is to serve"
            reports += isinstance(action, Compare)
            now, slotted = after(action, now, slotted)
        else:
            pytest.fail(f"never rests from {start}")
        assert DIGESTS["b"] in {slotted.active, slotted.shadow}
        assert (slotted.staged, now.active) == (None, memory.active)
        assert reports == (memory.held_generation != 5)


@pytest.mark.parametrize("mode", [TargetMode.SERVE, TargetMode.STAGE])
def test_a_shadow_ends_before_its_model_is_staged_to_serve(mode: TargetMode) -> None:
    shadowed = hold(Memory(target=to_shadow("b", 5), active=PLACED["a"]))
    memory = accept(shadowed, replace(target("b", 6), mode=mode), "trace")
    slotted = Slotted(active=DIGESTS["a"], shadow=DIGESTS["b"], stored=frozenset({DIGESTS["b"]}))
    assert next_action(memory, slotted) == EndShadow()
    assert next_action(memory, replace(slotted, shadow=None)) == Stage()


def test_a_shadow_whose_worker_died_is_started_again_and_not_reported_again() -> None:
    memory = hold(Memory(target=to_shadow("b", 5), settled_generation=4, active=PLACED["a"]))
    slotted = Slotted(active=DIGESTS["a"], stored=frozenset({DIGESTS["b"]}))
    assert next_action(memory, slotted) == StartShadow()
    assert next_action(memory, replace(slotted, shadow=DIGESTS["b"])) == Rest()


@pytest.mark.parametrize("letter", ["b", "c"])
def test_nothing_is_swapped_in_before_it_may_be(letter: str) -> None:
    memory = Memory(target=target(letter, 5), settled_generation=4, active=PLACED["a"])
    for open_slotted in every_slotted():
        slotted = replace(open_slotted, may_swap=False)
        action = next_action(memory, slotted)
        assert not isinstance(action, Swap)
        if isinstance(action, SwapBack):
            assert slotted.warm == DIGESTS["a"], "only back to the robot's own model"
        if isinstance(action, AwaitSwap):
            assert isinstance(next_action(memory, open_slotted), Swap | SwapBack)


def test_a_model_that_waits_for_its_instant_is_swapped_in_once_it_is_there() -> None:
    memory = Memory(target=target("b", 5), active=PLACED["a"])
    waiting = Slotted(active=DIGESTS["a"], staged=DIGESTS["b"], may_swap=False)
    assert next_action(memory, waiting) == AwaitSwap()
    assert next_action(memory, replace(waiting, may_swap=True)) == Swap()


def test_a_return_to_the_warm_model_waits_for_its_interlocks_too() -> None:
    memory = Memory(target=target("a", 6), settled_generation=5, active=PLACED["b"])
    slotted = Slotted(active=DIGESTS["b"], warm=DIGESTS["a"], may_swap=False)
    assert next_action(memory, slotted) == AwaitSwap()


def test_what_was_staged_is_served_without_another_byte_or_worker() -> None:
    staged = hold(Memory(target=to_stage("b", 5), settled_generation=4, active=PLACED["a"]))
    switched = accept(staged, target("b", 6), "trace")
    slotted = Slotted(active=DIGESTS["a"], staged=DIGESTS["b"])
    assert next_action(switched, slotted) == Swap()


def test_a_staged_model_whose_worker_died_is_staged_again_and_not_reported_again() -> None:
    memory = hold(Memory(target=to_stage("b", 5), settled_generation=4, active=PLACED["a"]))
    slotted = Slotted(active=DIGESTS["a"], stored=frozenset({DIGESTS["b"]}))
    assert next_action(memory, slotted) == Stage()
    assert next_action(memory, replace(slotted, staged=DIGESTS["b"])) == Rest()


def test_a_staged_model_is_discarded_when_the_robot_is_sent_back_to_what_it_serves() -> None:
    memory = hold(Memory(target=to_stage("b", 5), settled_generation=4, active=PLACED["a"]))
    back = accept(memory, target("a", 6), "trace")
    assert next_action(back, Slotted(active=DIGESTS["a"], staged=DIGESTS["b"])) == DiscardStaged()
    assert next_action(back, Slotted(active=DIGESTS["a"])) == Prove()


def test_a_staged_model_that_is_withdrawn_is_refused_and_then_discarded() -> None:
    memory = hold(Memory(target=to_stage("b", 5), settled_generation=4, active=PLACED["a"]))
    withdrawn = Slotted(
        active=DIGESTS["a"], staged=DIGESTS["b"], withdrawn=frozenset({DIGESTS["b"]})
    )
    assert next_action(memory, withdrawn) == Refuse()
    assert next_action(give_up(memory), withdrawn) == DiscardStaged()


def test_a_failed_staging_is_not_tried_again() -> None:
    memory = give_up(Memory(target=to_stage("b", 5), active=PLACED["a"]))
    slotted = Slotted(active=DIGESTS["a"], stored=frozenset({DIGESTS["b"]}))
    assert next_action(memory, slotted) == Rest()


def test_staging_while_the_model_before_is_still_warm_disturbs_neither() -> None:
    proved = commit(Memory(target=target("b", 5), active=PLACED["a"]))
    memory = accept(proved, to_stage("c", 6), "trace")
    slotted = Slotted(active=DIGESTS["b"], warm=DIGESTS["a"])
    assert next_action(memory, slotted) == Fetch()
    assert next_action(memory, replace(slotted, staged=DIGESTS["c"])) == ReportStaged()


def test_a_journal_of_an_older_bridge_still_loads() -> None:
    known = Memory(target=target("a", 5), active=Placed(PLACED["a"].model, DIGESTS["a"]))
    old = msgspec.msgpack.decode(encode(known))
    del old["held_generation"]
    for field in ("mode", "switch_at", "interlocks"):
        del old["target"][field]
    assert decode(msgspec.msgpack.encode(old), Memory) == known
