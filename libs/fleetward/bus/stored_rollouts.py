"""Reads rollouts whole, however they lie in the stream: each of one moment, with its sequence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.deliveries import decode_from
from fleetward.bus.errors import NoAnswerError
from fleetward.bus.last_values import (
    Stored,
    last_stored,
    last_value,
    last_values,
    last_values_of,
)
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollout_rows import (
    RolloutCounted,
    RolloutProgress,
    Shard,
    TornRolloutError,
    whole_of,
)
from fleetward.contracts.rollouts import Rollout

READ_ATTEMPTS = 20
"""A reading that a write crosses is made again."""
READ_PAUSE_S = 0.02


class KeptRollout(Struct, frozen=True):
    """A rollout and the sequence of its row, to compare and set by."""

    event: Rollout
    sequence: int


async def read_row(connection: Client, rollout_id: RolloutId) -> KeptRollout | None:
    """The row of a rollout, which for a large one is all but its robots; raises NoAnswerError."""
    value = await last_value(connection, Rollout, rollout_id=rollout_id)
    return None if value is None else KeptRollout(value.event, value.sequence)


async def read_rollout(connection: Client, rollout_id: RolloutId) -> KeptRollout | None:
    """A rollout as it stands, or None; raises NoAnswerError."""
    row = await read_row(connection, rollout_id)
    return None if row is None else await completed(connection, row)


async def read_rollouts(
    connection: Client, rollout_ids: Sequence[RolloutId] | None = None
) -> list[KeptRollout]:
    """Several rollouts as they stand, or every one there is; raises as ``read_rollout``."""
    if rollout_ids is None:
        values = await last_values(connection, Rollout)
        rows = [KeptRollout(value.event, value.sequence) for value in values]
    else:
        rows = await read_rows(connection, rollout_ids)
    return [await completed(connection, row) for row in rows]


async def read_rows(connection: Client, rollout_ids: Sequence[RolloutId]) -> list[KeptRollout]:
    """The rows of several rollouts, as ``read_row``."""
    values = await last_values_of(connection, Rollout, "rollout_id", rollout_ids)
    return [KeptRollout(value.event, value.sequence) for value in values]


async def completed(connection: Client, row: KeptRollout) -> KeptRollout:
    """The rollout of ``row``, or of a newer row when it has shards: they are read together.

    Raises NoAnswerError, also when it moved whenever it was read.
    """
    if row.event.sharding is None:
        return row
    for _ in range(READ_ATTEMPTS):
        stored = await last_stored(
            connection,
            (Rollout, RolloutProgress, RolloutCounted),
            rollout_id=row.event.rollout_id,
        )
        with suppress(TornRolloutError):
            return _joined(row, stored)
        await asyncio.sleep(READ_PAUSE_S)
    raise NoAnswerError(
        f"rollout {row.event.rollout_id} moved each of {READ_ATTEMPTS} times it was read. Try again."
    )


def _joined(row: KeptRollout, stored: Sequence[Stored]) -> KeptRollout:
    shards: list[Shard] = []
    for message in stored:
        fact = decode_from(message.subject, message.payload)
        if isinstance(fact, Rollout):
            row = KeptRollout(fact, message.sequence)
        elif isinstance(fact, (RolloutProgress, RolloutCounted)):
            shards.append(fact)
    return KeptRollout(whole_of(row.event, shards), row.sequence)
