"""Whatever older bridges wrote of a set by half: at the next start it is whole, or as whole as can be."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from edge_bridge.converging.actions import Restore
from edge_bridge.converging.converge import (
    Memory,
    Placed,
    Slotted,
    commit,
    give_up,
    next_action,
    return_to,
)
from edge_bridge.converging.wholeness import Mended, mended
from fleetward.contracts.ids import ModelName, ModelRef, RolloutId, Version
from fleetward.contracts.robots import ModelActivated, ModelFellBack, RobotTarget, TargetMode
from testkit.telemetry import digest_of
from tests.unit.edge_bridge_bus.model_set import NAMES, of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
NEW, STORED = of(NAMES[0]).digest, frozenset({of(NAMES[0]).digest, digest_of("0")})
PIPELINES = (None, *NAMES[1:])


def old(name: ModelName) -> Placed:
    return Placed(ModelRef(name, Version("v1")), digest_of("0"))


def accepted(name: ModelName) -> Memory:
    return Memory(target=of(name), active=old(name))


def left(name: ModelName) -> Memory:
    return return_to(commit(accepted(name)), old(name))


def looked_at(*memories: Memory, usable: frozenset[str] = STORED) -> Mended:
    found = dict(zip(PIPELINES, memories, strict=True))
    return mended(found, usable, lambda target: target.generation, NOW)  # type: ignore[arg-type]  # digests


@pytest.mark.parametrize("done", list(itertools.product((False, True), repeat=3)))
def test_a_set_that_was_committed_in_part_is_committed(done: tuple[bool, ...]) -> None:
    memories = [
        commit(accepted(name), 3) if each else accepted(name)
        for name, each in zip(NAMES, done, strict=True)
    ]
    found = looked_at(*memories)
    begun = any(done)
    assert list(found.memories) == [
        pipeline for pipeline, each in zip(PIPELINES, done, strict=True) if begun and not each
    ]
    assert all(type(fact) is ModelActivated for fact in found.facts)
    for pipeline, name in zip(PIPELINES, NAMES, strict=True):
        if pipeline in found.memories:
            assert found.memories[pipeline] == commit(accepted(name), 3)


@pytest.mark.parametrize("done", list(itertools.product((False, True), repeat=3)))
def test_a_set_that_was_left_in_part_is_left(done: tuple[bool, ...]) -> None:
    memories = [
        left(name) if each else commit(accepted(name))
        for name, each in zip(NAMES, done, strict=True)
    ]
    found = looked_at(*memories)
    whole = [found.memories.get(*each) for each in zip(PIPELINES, memories, strict=True)]
    kept = {memory.active is not None and memory.active.digest == NEW for memory in whole}
    assert kept == {not any(done)}
    assert all(type(fact) is ModelFellBack for fact in found.facts)


def test_none_is_committed_to_a_set_that_was_left_meanwhile() -> None:
    found = looked_at(commit(accepted(NAMES[0])), left(NAMES[1]), accepted(NAMES[2]))
    assert found.memories == {None: left(NAMES[0])}


@pytest.mark.parametrize("why", ["failed", "not stored", "to be staged", "another set"])
def test_what_was_not_proved_with_the_others_is_not_committed(why: str) -> None:
    target = of(NAMES[2])
    changed: dict[str, RobotTarget] = {
        "to be staged": replace(target, mode=TargetMode.STAGE),
        "another set": replace(target, issued_at=target.issued_at + timedelta(seconds=1)),
    }
    memory = replace(accepted(NAMES[2]), target=changed.get(why, target))
    memory = give_up(memory) if why == "failed" else memory
    usable = STORED - {NEW} if why == "not stored" else STORED
    committed = [commit(accepted(name)) for name in NAMES[:2]]
    assert looked_at(*committed, memory, usable=usable).memories == {}


def test_one_that_went_on_or_has_nothing_to_return_to_stays() -> None:
    newer = replace(of(NAMES[1]), rollout_id=RolloutId("another"), together=(), generation=4)
    went_on = commit(replace(commit(accepted(NAMES[1])), target=newer))
    first = commit(replace(accepted(NAMES[2]), active=None))
    assert looked_at(left(NAMES[0]), went_on, first).memories == {}


def test_what_was_left_and_still_serves_is_replaced_from_the_store() -> None:
    memory = left(NAMES[0])
    slotted = Slotted(active=NEW, stored=STORED)
    assert next_action(memory, slotted) == Restore()
    assert next_action(memory, replace(slotted, active=digest_of("0"))) != Restore()
    assert next_action(memory, replace(slotted, stored=frozenset({NEW}))) != Restore()
    assert next_action(memory, replace(slotted, withdrawn=STORED)) != Restore()
    assert next_action(commit(accepted(NAMES[0])), slotted) != Restore()
