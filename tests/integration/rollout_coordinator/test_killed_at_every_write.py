"""A coordinator that is killed at any of its writes is started again, and nobody can tell afterwards."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

import rollout_coordinator
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.dead_letter import DeadLettered
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import Rollout, RolloutState
from fleetward.contracts.rows import Principal, StreamName
from testkit.servers import NatsSystem
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import Fleet
from tests.integration.rollout_coordinator.mortal_coordinator import mortal_coordinator
from tests.integration.rollout_coordinator.said_alone import SAID_ALONE
from tests.integration.rollout_coordinator.stored import (
    assert_decisions_are_reproduced,
    assert_generations_strictly_increase,
    assert_nothing_happened_twice,
    stored_in,
)
from tests.integration.rollout_coordinator.write_points import (
    ANSWER,
    COMMIT,
    FIRST,
    LATER,
    MIDDLE,
    NEVER,
    PULL,
    acknowledged,
    points,
    writes,
)

DECIDING = (
    FIRST,
    MIDDLE,
    COMMIT,
    "RobotNudged",
    acknowledged("coordinator-requests"),
    acknowledged("coordinator-robots"),
    acknowledged("coordinator-health"),
    PULL,
)


WRITERS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "write_atomically": (FIRST, MIDDLE, COMMIT),
        "publish": ("RolloutRefused", "GateAnswered"),
        "publish_all": ("RobotNudged",),
        "bury": ("DeadLettered", NEVER),
        "answer": (ANSWER,),
        "listen": (acknowledged("coordinator-requests"), LATER, NEVER),
        "Pull": (
            PULL,
            LATER,
            *(acknowledged(row.durable) for row in consumers_of(Principal.COORDINATOR)[1:]),
        ),
        "Delivery": (LATER, NEVER),
    }
)
"""Everything of the bus that a coordinator imports and writes with, and what that sends."""
READERS = frozenset(
    {
        *("close", "completed", "history", "last_stored_before", "last_stored_of", "last_value"),
        *("enrolled_robots", "last_values", "last_values_of", "read_row", "read_rows"),
    }
)
WAYS_OUT = frozenset({"connection", "broker"})


def imported_from_the_bus() -> Iterator[tuple[str, object]]:
    """Everything that the coordinator's modules import from it, with its name."""
    for path in Path(rollout_coordinator.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("fleetward.bus."):
                module = importlib.import_module(str(node.module))
                yield from ((alias.name, getattr(module, alias.name)) for alias in node.names)


def reaches_the_server(thing: object) -> bool:
    """Whether it is made with, or called with, a connection."""
    if not callable(thing) or (isinstance(thing, type) and issubclass(thing, Exception)):
        return False
    return not WAYS_OUT.isdisjoint(inspect.signature(thing).parameters)


def test_whatever_the_coordinator_writes_with_has_points_to_die_at() -> None:
    reaching = {name for name, thing in imported_from_the_bus() if reaches_the_server(thing)}
    assert reaching == WRITERS.keys() | READERS
    sent = {write for sends in WRITERS.values() for write in sends}
    assert sent == writes() == {*DECIDING, *SAID_ALONE}


async def rollouts_until(fleet: Fleet, enough: asyncio.Event) -> list[Rollout]:
    """One rollout after the other, each to its end."""
    ended: list[Rollout] = []
    while not enough.is_set():
        version = "1" if len(ended) % 2 else "2"
        ended.append(await fleet.ended(await fleet.ask(f"r-{len(ended)}", version)))
        assert {robot.serves for robot in fleet.robots} == {DIGESTS[version]}
    return ended


def refusals(facts: Sequence[Event]) -> Counter[RolloutId]:
    """How often each request was refused."""
    return Counter(fact.rollout_id for fact in facts if isinstance(fact, RolloutRefused))


async def assert_nobody_can_tell(fleet: Fleet) -> None:
    facts = await stored_in(fleet.system, StreamName.ROLLOUTS)
    assert_nothing_happened_twice(facts)
    assert_generations_strictly_increase(facts)
    assert_decisions_are_reproduced(facts)


@pytest.mark.slow
async def test_rollouts_go_on_when_the_coordinator_is_killed_at_any_write_of_a_decision(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    enough = asyncio.Event()
    async with mortal_coordinator(nats_system, tmp_path) as mortal:
        rolling = asyncio.create_task(rollouts_until(mortal.fleet, enough))
        for point in points(*DECIDING):
            async with mortal.wire.cut_at(point):
                pass
        enough.set()
        ended = await rolling
        assert {rollout.state for rollout in ended} == {RolloutState.SUCCEEDED}
        assert refusals(await stored_in(nats_system, StreamName.ROLLOUTS)) == {}
        await assert_nobody_can_tell(mortal.fleet)


@pytest.mark.slow
async def test_nothing_is_lost_or_said_twice_when_the_coordinator_is_killed_at_what_it_says_alone(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    async with mortal_coordinator(nats_system, tmp_path) as mortal:
        for write, die_at in SAID_ALONE.items():
            for point in points(write):
                await die_at(mortal, point)
        assert {robot.serves for robot in mortal.fleet.robots} == {DIGESTS["1"]}
        await assert_nobody_can_tell(mortal.fleet)
        said = await stored_in(nats_system, StreamName.ROLLOUTS)
        assert set(refusals(said).values()) == {1}
        letters = await stored_in(nats_system, StreamName.DEAD_LETTERS)
        buried = Counter(each.payload for each in letters if isinstance(each, DeadLettered))
        assert set(buried.values()) == {1}
