"""State is read straight from its stream: one value, many, and more than the server sends at once."""

from __future__ import annotations

import asyncio

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.last_values import last_value, last_values, last_values_of
from fleetward.bus.publish import publish
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from tests.integration.bus.speech import enrolled, state

MANY = 1300
"""More than the 1,024 subjects of one answer."""
PATIENCE_S = 60.0
"""For 80 MB on a busy machine; how soon they come is not what is held here."""


async def test_value_that_was_never_set_is_none(shared_nats_system: NatsSystem) -> None:
    people = await shared_nats_system.connect(Principal.OPERATOR)
    assert await last_value(people, Rollout, rollout_id="nothing") is None
    assert await last_values(people, Rollout, rollout_id="nothing") == []
    assert await last_values_of(people, Rollout, "rollout_id", []) == []


async def test_newest_value_counts(shared_nats_system: NatsSystem) -> None:
    connection = await shared_nats_system.connect(Principal.COORDINATOR)
    first = await write_atomically(connection, [Write(state("moved", "first"), 0)])
    second = await write_atomically(connection, [Write(state("moved", "second"), first)])
    value = await last_value(connection, Rollout, rollout_id="moved")
    assert value is not None
    assert (value.event.reason, value.sequence) == ("second", second)


async def test_more_values_than_one_answer_holds_are_all_read(
    shared_nats_system: NatsSystem,
) -> None:
    enroller = await shared_nats_system.connect(Principal.ENROLLER)
    names = {f"many-{number}" for number in range(MANY)}
    waiting = sorted(names)
    while waiting:
        await asyncio.gather(*(publish(enroller, enrolled(name)) for name in waiting[:100]))
        waiting = waiting[100:]
    values = await last_values(enroller, RobotEnrolled)
    assert {value.event.robot_id for value in values} == names
    some = [f"many-{number}" for number in range(0, MANY, 2)]
    chosen = await last_values_of(enroller, RobotEnrolled, "robot_id", [*some, "never-enrolled"])
    assert sorted(value.event.robot_id for value in chosen) == sorted(some)


async def test_more_bytes_than_the_server_sends_at_once_are_all_read(
    nats_system: NatsSystem,
) -> None:
    """It sends 64 MiB and says how many are left."""
    connection = await nats_system.connect(Principal.COORDINATOR)
    names = {f"big-{number}" for number in range(80)}
    for name in names:
        await write_atomically(connection, [Write(state(name, "x" * 1_000_000), 0)])
    values = await last_values(connection, Rollout, timeout_s=PATIENCE_S)
    assert {value.event.rollout_id for value in values} == names
