"""Every state that a set of two models can lead one robot into, breadth first, by the real ``advance``."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.members import SetProgress
from fleetward.contracts.model_sets import models, parts
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotPhase,
    Rollout,
    RolloutState,
    Strategy,
    is_open,
)
from fleetward.contracts.variants import wanted
from rollout_coordinator.advance import Fact, advance, begun
from rollout_coordinator.step import RobotTaken, Step, Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.invariants import check
from tests.unit.rollout_coordinator.pipeline_scenes import NEW_SIGHT, OLD_SIGHT, R1, SEES_BETTER
from tests.unit.rollout_coordinator.set_scenes import (
    detects,
    held,
    left_sight,
    no_sight,
    planned_set,
    sees,
    serves,
    staged,
)
from tests.unit.rollout_coordinator.takeover_scenes import superseded
from tests.unit.rollout_coordinator.test_advance_model_check import (
    GENERATION,
    STRICT,
    UNIT_S,
    canonical,
    may_move,
)

WATCHED = replace(STRICT, watch_after_s=5)
PLANS = {
    "canary": planned_set(WATCHED),
    "blue-green": planned_set(STRICT, Strategy.BLUE_GREEN),
    "no sight before": planned_set(STRICT, sight_before=False),
}
FEWEST_STATES = {
    "canary": 1_640,
    "blue-green": 6_790,
    "no sight before": 950,
}
"""Of each plan, some nine tenths of what there were: a search that finds fewer has lost moves."""
_HAS_ALL = {RobotPhase.STAGED, RobotPhase.PROVED, RobotPhase.REVERTED}
_HAS_NOT = {RobotPhase.TARGETED, RobotPhase.UNKNOWN, RobotPhase.REVERTING}


def seen(rollout: Rollout, passed_s: float = 0) -> Rollout:
    """The same state for the search; generations of its members are all one and the same too."""
    made = canonical(rollout, passed_s)
    progress = held(made)
    assert isinstance(progress.together, SetProgress)
    together = replace(
        progress.together,
        members=tuple(replace(each, generation=GENERATION) for each in progress.together.members),
        arrived=tuple(sorted(progress.together.arrived)),
    )
    return replace(made, robots={R1: replace(progress, together=together)})


def facts_about(rollout: Rollout) -> Iterator[Fact]:
    """Whatever is said of either model: true, late or false; and what people and time do."""
    for action in (ControlAction.ABORT, ControlAction.RETRY, ControlAction.PROMOTE):
        yield scenes.asked(action)
    yield scenes.asked(ControlAction.ABORT, AbortMode.KEEP)
    for digest in (scenes.NEW, scenes.OLD, NEW_SIGHT, OLD_SIGHT):
        yield scenes.withdrawn(digest)
        yield scenes.alert(1, digest=digest)
    for generation in (GENERATION, GENERATION - 1):
        for detector in (scenes.NEW, scenes.OLD):
            yield detects(generation, detector)
            for segmenter in (NEW_SIGHT, OLD_SIGHT, None):
                yield serves(detector, segmenter, generation)
        for segmenter in (NEW_SIGHT, OLD_SIGHT):
            yield sees(generation, segmenter)
        yield scenes.failed(1, generation)
        yield no_sight(generation)
        yield scenes.fell_back(1, generation)
        yield left_sight(generation)
        if rollout.strategy is Strategy.BLUE_GREEN:
            yield staged(scenes.NEW_MODEL, scenes.NEW, generation)
            yield staged(SEES_BETTER, NEW_SIGHT, generation)
    yield serves(scenes.OLD, OLD_SIGHT, GENERATION, ("waits", "waits"))
    yield scenes.silent(1)
    yield scenes.summary(1, 0, scenes.NEW, inferences=1)
    yield RobotTaken(R1, "rollout elsewhere")
    yield superseded(1)
    yield Tick()


def check_set(before: Rollout, fact: Fact, step: Step) -> None:
    """What must hold of a set beside what holds of every rollout."""
    progress = held(step.rollout)
    assert isinstance(progress.together, SetProgress)
    has_all = len(progress.together.arrived) == len(models(step.rollout))
    assert has_all or progress.phase not in _HAS_ALL, "it arrived without one of its models"
    was_taken = progress.targeted_at is None
    assert was_taken or not has_all or progress.phase not in _HAS_NOT, "all arrived, and it has not"
    for order in step.targets:
        _check_order(before, step.rollout, order.every)
    if not step.targets:
        assert _generations(before) == _generations(step.rollout)


def _check_order(before: Rollout, after: Rollout, orders: tuple[object, ...]) -> None:
    was, became = parts(before, held(before)), parts(after, held(after))
    is_new = after.state is not RolloutState.REVERTING
    expected = [
        (
            (wanted(*part).model, wanted(*part).digest)
            if is_new
            else (at.previous, at.previous_digest),
            at.generation,
            old.generation + 1,
        )
        for (_, old), part in zip(was, became, strict=True)
        for at in part[1:]
        if is_new or at.previous_digest is not None
    ]
    assert [
        ((order.model, order.digest), order.generation, order.generation)  # type: ignore[attr-defined]  # a TargetOrder
        for order in orders
    ] == expected, "a set is given, and goes back, whole"


def _generations(rollout: Rollout) -> list[int]:
    return [at.generation for _, at in parts(rollout, held(rollout))]


def next_states(before: Rollout) -> Iterator[Rollout]:
    for fact in facts_about(before):
        step = advance(before, fact, scenes.START, scenes.START)
        check(before, fact, step)
        check_set(before, fact, step)
        if step.rollout is not before:
            again = advance(step.rollout, fact, scenes.START, scenes.START)
            assert again.rollout is step.rollout or isinstance(fact, Tick), (
                f"a copy of {fact} acted"
            )
            yield seen(step.rollout)
    if is_open(before):
        yield seen(before, UNIT_S)


@pytest.mark.parametrize("plan", PLANS)
def test_every_reachable_state_of_a_set_keeps_the_promises_and_can_end(
    plan: str, record_property: Callable[[str, object], None]
) -> None:
    first = seen(begun(PLANS[plan], scenes.START).rollout)
    states, waiting = {encode(first): first}, deque([first])
    led_here: dict[bytes, set[bytes]] = defaultdict(set)
    while waiting:
        now = waiting.popleft()
        key = encode(now)
        for following in next_states(now):
            following_key = encode(following)
            led_here[following_key].add(key)
            if following_key not in states:
                states[following_key] = following
                if may_move(following):
                    waiting.append(following)
    ending = deque(key for key, rollout in states.items() if rollout.state in FINAL_STATES)
    can_end = set(ending)
    while ending:
        for earlier in led_here[ending.popleft()] - can_end:
            can_end.add(earlier)
            ending.append(earlier)
    record_property("states", len(states))
    assert can_end == set(states)
    assert len(states) >= FEWEST_STATES[plan], "the search lost moves"
    assert {rollout.state for rollout in states.values()} >= FINAL_STATES - {scenes.UNUSED_STATE}
