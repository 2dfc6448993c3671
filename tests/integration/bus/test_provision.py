"""The server's streams and consumers are what the catalog says, however often one provisions."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from nats.js.api import DiscardPolicy, PersistMode

from fleetward.bus.errors import PublishError
from fleetward.bus.last_values import last_values
from fleetward.bus.provision import provision
from fleetward.bus.publish import publish
from fleetward.contracts.catalog import CONSUMERS, STREAMS, copied_to, events_in, row_of
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rows import Principal, StreamName
from fleetward.contracts.segments import SegmentArrived, SegmentStored
from testkit.servers import NatsSystem
from tests.unit.edge_bridge.segments import segment_of


async def test_provisioning_twice_changes_nothing(shared_nats_system: NatsSystem) -> None:
    connection = await shared_nats_system.connect(Principal.PROVISIONER)
    before = await _everything(shared_nats_system)
    await provision(connection)
    assert await _everything(shared_nats_system) == before


async def test_streams_and_consumers_are_those_of_the_catalog(
    shared_nats_system: NatsSystem,
) -> None:
    jetstream = (await shared_nats_system.connect(Principal.PROVISIONER)).jetstream()
    for row in STREAMS:
        config = (await jetstream.stream_info(row.name.value)).config
        assert sorted(config.subjects or ()) == sorted(
            event.pattern for event in events_in(row.name)
        )
        assert [source.filter_subject for source in config.sources or ()] == [
            event.pattern for event in copied_to(row.name)
        ]
        assert config.max_bytes == row.max_bytes
        assert (config.discard == DiscardPolicy.NEW) is row.refuse_when_full
        assert config.max_age == row.max_age_s
        assert bool(config.allow_atomic) is row.atomic
        assert (config.persist_mode == PersistMode.ASYNC.value) is row.persist_async
        assert config.allow_direct
    for consumer in CONSUMERS:
        found = (await jetstream.consumer_info(consumer.stream.value, consumer.durable)).config
        assert sorted(found.filter_subjects or [found.filter_subject]) == sorted(
            row_of(event).pattern for event in consumer.events
        )
        assert found.max_deliver == consumer.max_deliver


async def test_stream_of_before_takes_what_is_new_and_keeps_what_it_has(
    nats_system: NatsSystem,
) -> None:
    provisioner = await nats_system.connect(Principal.PROVISIONER)
    registry = await nats_system.connect(Principal.REGISTRY)
    jetstream, now = provisioner.jetstream(), datetime.now(timezone.utc)
    config = (await jetstream.stream_info(StreamName.SEGMENTS.value)).config
    config.subjects = [row_of(SegmentStored).pattern]
    await jetstream.update_stream(config)
    robot, segment = RobotId("arm"), segment_of(1, b"x")
    stored = SegmentStored(
        robot_id=robot, segment_id=segment.segment_id, segment=segment, stored_at=now
    )
    await publish(registry, stored, message_id="before")
    arrived = SegmentArrived(
        robot_id=robot, kind=segment.kind, segment=segment, key="k", stored_at=now
    )
    with pytest.raises(PublishError):
        await publish(registry, arrived, message_id="too early", timeout_s=0.5)

    await provision(provisioner)
    await publish(registry, arrived, message_id="after")
    said = await last_values(registry, SegmentStored, robot_id=robot)
    assert [each.event for each in said] == [stored]


async def _everything(system: NatsSystem) -> list[object]:
    jetstream = (await system.connect(Principal.PROVISIONER)).jetstream()
    streams = [(info.config, info.created) for info in await jetstream.streams_info()]
    consumers = [
        (info.config, info.created)
        for row in STREAMS
        for info in await jetstream.consumers_info(row.name.value)
    ]
    return [streams, consumers]
