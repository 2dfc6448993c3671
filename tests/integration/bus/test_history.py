"""Everything that was ever decided is still there to be read, and the newest state lies alone."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone

import pytest

from fleetward.bus.batch import Write, write_atomically
from fleetward.bus.history import FACTS_PER_READ, history
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.ids import (
    BootId,
    Digest,
    ModelRef,
    RobotId,
    RolloutId,
    alias_name,
    model_name,
    version,
)
from fleetward.contracts.registry import AliasMoved, ModelRecord
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn
from fleetward.contracts.rows import Principal, StreamName
from testkit.servers import NatsSystem

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
MOVES = 2 * FACTS_PER_READ + 3
ACTIVATIONS = 80
DETECTOR = model_name("detector")


async def test_every_move_of_an_alias_is_kept_while_the_record_lies_alone(
    shared_nats_system: NatsSystem,
) -> None:
    registry = await shared_nats_system.connect(Principal.REGISTRY)
    sequence = 0
    for number in range(MOVES):
        moved = AliasMoved(
            name=DETECTOR,
            alias=alias_name("production"),
            version=version(f"{number}"),
            moved_at=NOW,
        )
        record = Write(ModelRecord(name=DETECTOR), expected_last_sequence=sequence)
        sequence = await write_atomically(registry, [Write(moved), record])

    people = await shared_nats_system.connect(Principal.OPERATOR)
    kept = [fact.version async for fact in history(people, AliasMoved, name="detector")]

    assert kept == [str(number) for number in range(MOVES)]
    provisioner = await shared_nats_system.connect(Principal.PROVISIONER)
    stream = await provisioner.jetstream().stream_info(StreamName.MODELS.value)
    assert stream.state.messages == MOVES + 1
    newest = await last_value(people, ModelRecord, name="detector")
    assert newest is not None
    assert newest.sequence == sequence


@pytest.mark.parametrize("reader", [Principal.OPERATOR, Principal.APPLICATION])
async def test_what_a_robot_served_outlives_what_it_reports_of_itself(
    shared_nats_system: NatsSystem, reader: Principal
) -> None:
    robot = RobotId(f"arm-{reader.value}")
    connection = await shared_nats_system.connect(robot)
    for number in range(ACTIVATIONS):
        await publish(connection, _activated(robot, number))
        await publish(connection, _checked_in(robot, number))

    people = await shared_nats_system.connect(reader)
    kept: list[ModelActivated] = []
    async with asyncio.timeout(60.0):
        while len(kept) < ACTIVATIONS:  # the server copies a moment later
            kept = [fact async for fact in history(people, ModelActivated, robot_id=robot)]

    assert [fact.generation for fact in kept] == list(range(ACTIVATIONS))
    provisioner = await shared_nats_system.connect(Principal.PROVISIONER)
    copies = await provisioner.jetstream().stream_info(
        StreamName.HISTORY.value, subjects_filter=">"
    )
    assert not [subject for subject in copies.state.subjects or {} if "checked_in" in subject]


def _activated(robot: RobotId, number: int) -> ModelActivated:
    return ModelActivated(
        robot_id=robot,
        rollout_id=RolloutId("r-1"),
        generation=number,
        model=ModelRef(DETECTOR, version(f"{number}")),
        digest=Digest("sha256:" + "0" * 64),
        inferences=20,
        swap_ms=1.0,
        warm_up_ms=1.0,
        bytes_fetched=0,
        activated_at=NOW,
    )


def _checked_in(robot: RobotId, number: int) -> RobotCheckedIn:
    return RobotCheckedIn(robot_id=robot, boot_id=BootId("b-1"), sequence=number, checked_in_at=NOW)
