"""Makes the server's streams and consumers what the catalog says; the only code that does."""

from __future__ import annotations

from nats.aio.client import Client
from nats.js import JetStreamContext, api

from fleetward.contracts.catalog import CONSUMERS, STREAMS, copied_to, events_in, row_of
from fleetward.contracts.rows import ConsumerRow, StreamRow

PROVISION_TIMEOUT_S = 30.0
HEADER_ROOM_BYTES = 4096


async def provision(connection: Client, *, replicas: int = 1) -> None:
    """Create or update every stream and consumer; what already matches is left as it is."""
    jetstream = connection.jetstream(timeout=PROVISION_TIMEOUT_S)
    existing = {info.config.name for info in await jetstream.streams_info()}
    for stream in STREAMS:
        await _provision_stream(jetstream, stream, replicas, exists=stream.name.value in existing)
    for consumer in CONSUMERS:
        await jetstream.add_consumer(consumer.stream.value, consumer_config(consumer))


def stream_config(row: StreamRow, replicas: int = 1) -> api.StreamConfig:
    """A row of STREAMS as the server's own configuration."""
    kept = (*events_in(row.name), *copied_to(row.name))
    return api.StreamConfig(
        name=row.name.value,
        description=row.meaning,
        subjects=[event.pattern for event in events_in(row.name)],
        sources=_sources(row),
        storage=api.StorageType.FILE,
        max_age=row.max_age_s,
        max_bytes=row.max_bytes,
        max_msgs_per_subject=row.max_msgs_per_subject,
        max_msg_size=max(event.size_limit_bytes for event in kept) + HEADER_ROOM_BYTES,
        discard=api.DiscardPolicy.NEW if row.refuse_when_full else api.DiscardPolicy.OLD,
        duplicate_window=row.duplicate_window_s,
        num_replicas=replicas,
        allow_direct=True,
        allow_rollup_hdrs=any(event.newest_only for event in kept),
        allow_atomic=row.atomic,
        persist_mode=api.PersistMode.ASYNC if row.persist_async else None,
    )


def _sources(row: StreamRow) -> list[api.StreamSource] | None:
    """Which facts of another stream the server copies here by itself."""
    if row.copies_from is None:
        return None
    return [
        api.StreamSource(name=row.copies_from.value, filter_subject=event.pattern)
        for event in copied_to(row.name)
    ]


def consumer_config(row: ConsumerRow) -> api.ConsumerConfig:
    """A row of CONSUMERS as the server's own configuration."""
    return api.ConsumerConfig(
        name=row.durable,
        durable_name=row.durable,
        filter_subjects=[row_of(event).pattern for event in row.events],
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=row.ack_wait_s,
        max_ack_pending=row.max_ack_pending,
        max_deliver=row.max_deliver,
    )


async def _provision_stream(
    jetstream: JetStreamContext, row: StreamRow, replicas: int, *, exists: bool
) -> None:
    config = stream_config(row, replicas)
    if exists:
        await jetstream.update_stream(config)
    else:
        await jetstream.add_stream(config)
