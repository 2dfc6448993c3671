"""Every state that rollouts of two models can lead one robot with a pipeline into, breadth first.

Decisions are the real ones, and so are the targets that they become: the newest is kept as the server
keeps it, and each is written on top of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import ModelName
from fleetward.contracts.ownership import owners
from fleetward.contracts.places import place_of
from fleetward.contracts.robots import RobotTarget
from fleetward.contracts.rollouts import (
    FINAL_STATES,
    RobotPhase,
    Rollout,
    RolloutState,
    Strategy,
    is_open,
)
from rollout_coordinator.advance import Fact, advance, begun
from rollout_coordinator.entries import entry_at
from rollout_coordinator.giving import follows, given, overtaken_by
from rollout_coordinator.step import RobotTaken, Step, Tick
from tests.unit.rollout_coordinator import scenes
from tests.unit.rollout_coordinator.invariants import check
from tests.unit.rollout_coordinator.pipeline_scenes import (
    DETECTS,
    NEW_SIGHT,
    OLD_SIGHT,
    R1,
    SEES,
    SEES_BETTER,
    SEGMENTER,
    SEGMENTS,
    THERE,
    detecting,
    says,
    segmenting,
    standing,
    told,
)
from tests.unit.rollout_coordinator.takeover_scenes import superseded
from tests.unit.rollout_coordinator.test_advance_model_check import (
    GENERATION,
    STRICT,
    UNIT_S,
    canonical,
)

MODELS = {
    scenes.HERE: (scenes.OLD_MODEL, scenes.OLD, scenes.NEW_MODEL, scenes.NEW),
    THERE: (SEES, OLD_SIGHT, SEES_BETTER, NEW_SIGHT),
}
PLACES = {scenes.HERE: None, THERE: SEGMENTER}
FEWEST_STATES = 6_500
"""Some nine tenths of what there were: a search that finds fewer has lost moves."""


class World(Struct, frozen=True):
    """Both rollouts, and what the robot was given last."""

    here: Rollout
    there: Rollout
    target: RobotTarget

    @property
    def rollouts(self) -> tuple[Rollout, Rollout]:
        return self.here, self.there


def beginning() -> World:
    """Neither has given anything yet."""
    here, there = (
        replace(plan, policy=STRICT, robots={R1: replace(plan.robots[R1], generation=GENERATION)})
        for plan in (detecting(), segmenting(Strategy.BLUE_GREEN))
    )
    entries = [replace(each, generation=GENERATION) for each in (DETECTS, SEGMENTS)]
    return World(here, there, told(*entries))


def facts_of(rollout: Rollout) -> Iterator[Fact]:
    """What is said of one of the rollouts: true, late, or of the other model."""
    _, before, model, after = MODELS[rollout.rollout_id]
    yield scenes.asked(ControlAction.ABORT)
    yield scenes.asked(ControlAction.ABORT, AbortMode.KEEP)
    yield scenes.alert(1, digest=after)
    yield scenes.silent(1)
    yield superseded(1)
    for generation in (GENERATION, GENERATION - 1):
        for digest in (before, after):
            proof = scenes.activated(1, generation, digest, rollout.rollout_id)
            yield replace(proof, model=model)
            held = scenes.staged(1, generation, digest)
            yield replace(held, rollout_id=rollout.rollout_id, model=model)
            yield says(standing(SEGMENTER, generation, digest), generation=generation)
        yield scenes.failed(1, generation, rollout.rollout_id)
        yield scenes.fell_back(1, generation, rollout.rollout_id)
    yield scenes.summary(1, 0, after, inferences=1)
    yield Tick()


def next_worlds(world: World) -> Iterator[World]:
    """Whatever one fact, or time, leads to; each rollout hears every fact of both."""
    for about in world.rollouts:
        for fact in facts_of(about):
            for hearing in world.rollouts:
                yield from after(world, hearing, fact)
    for rollout in world.rollouts:
        if is_open(rollout):
            yield aged(world, rollout)


def after(world: World, rollout: Rollout, fact: Fact) -> Iterator[World]:
    """The world once a rollout decided on a fact; nothing when that changes nothing."""
    step = advance(rollout, fact, scenes.START, scenes.START)
    check(rollout, fact, step)
    if step.rollout is rollout:
        return
    target = written(world, step) if step.targets else world.target
    if target is None:
        yield from after(world, rollout, RobotTaken(R1, "somebody"))
        return
    yield made(world, step.rollout, target)


def written(world: World, step: Step) -> RobotTarget | None:
    """What is stored then: the others' entries as they were; None: somebody was faster."""
    (order,), rollout = step.targets, step.rollout
    name, other = rollout.model.name, _other(rollout)
    if overtaken_by(rollout, order, world.target) is not None:
        return None
    assert follows(rollout, order, world.target)
    target = given(rollout, order, world.target, scenes.START)
    assert (target.model.name, target.generation) == (name, order.generation), "newest first"
    assert target.fallback is None or target.fallback.name == name, "it falls back to another model"
    assert entry_of(target, other) == entry_of(world.target, other), "another model was touched"
    assert len(target.entries) == len({each.model.name for each in target.entries})
    owned = owners(
        (rollout, *(each for each in world.rollouts if each.rollout_id != rollout.rollout_id))
    )
    if rollout.state not in FINAL_STATES:
        assert owned[R1, PLACES[rollout.rollout_id]] is rollout, "it gave what it does not own"
    return target


def entry_of(target: RobotTarget, name: ModelName) -> RobotTarget | None:
    return entry_at(target, place_of(name, (SEGMENTER,)), (SEGMENTER,))


def _other(rollout: Rollout) -> ModelName:
    return SEGMENTER if rollout.rollout_id == scenes.HERE else scenes.OLD_MODEL.name


def made(world: World, rollout: Rollout, target: RobotTarget) -> World:
    """The same world for the search: the rollout's generation and its entry's are one and the same."""
    shift = rollout.robots[R1].generation - GENERATION
    entries = [
        replace(each, generation=each.generation - shift, issued_at=scenes.START)
        if each.model.name == rollout.model.name
        else each
        for each in target.entries
    ]
    seen = sorted(entries, key=lambda each: each.model.name)
    return _with(replace(world, target=told(*seen)), canonical(rollout))


def aged(world: World, rollout: Rollout) -> World:
    return _with(world, canonical(rollout, UNIT_S))


def _with(world: World, rollout: Rollout) -> World:
    if rollout.rollout_id == scenes.HERE:
        return replace(world, here=rollout)
    return replace(world, there=rollout)


def check_owners(world: World) -> None:
    """Each place has the one owner that has not ended and was not superseded there."""
    owned = owners(world.rollouts)
    holding = {
        (R1, PLACES[rollout.rollout_id]): rollout
        for rollout in world.rollouts
        if rollout.state not in FINAL_STATES
        and rollout.robots[R1].phase is not RobotPhase.SUPERSEDED
    }
    assert owned == holding


def test_two_models_go_their_ways_on_one_robot_and_neither_touches_the_other(
    record_property: Callable[[str, object], None],
) -> None:
    world = beginning()
    for rollout in world.rollouts:
        step = begun(rollout, scenes.START)
        target = written(world, step)
        assert target is not None
        world = made(world, step.rollout, target)
    seen, waiting = {encode(world)}, deque([world])
    ends: set[tuple[RolloutState, RolloutState]] = set()
    while waiting:
        now = waiting.popleft()
        check_owners(now)
        ends.add((now.here.state, now.there.state))
        for following in next_worlds(now):
            key = encode(following)
            if key not in seen:
                seen.add(key)
                waiting.append(following)
    record_property("states", len(seen))
    assert len(seen) >= FEWEST_STATES, "the search lost moves"
    assert (RolloutState.SUCCEEDED, RolloutState.REVERTED) in ends, "one is taken back, one stays"
    assert {each for pair in ends for each in pair} >= FINAL_STATES - {scenes.UNUSED_STATE}
