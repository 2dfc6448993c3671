"""Signs the targets of a decision while it is written: a signature costs more than all else that is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from nats.aio.client import Client

from fleetward.bus.batch import AtomicBatch, Write
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.trust.signing import TARGET, SigningKey

SIGNED_AT_ONCE = 25
"""After so many, a millisecond or less, those that are signed are sent and others have their turn."""


async def write_signed(
    connection: Client,
    key: SigningKey,
    writes: Sequence[Write],
    targets: Sequence[RobotTarget],
    over: Mapping[RobotId, int],
    traceparent: str,
) -> int:
    """Write it all or nothing, ``targets`` signed and last; returns the sequence of the first write.

    ``over``: the sequence of each robot's target before, which must still be its newest; none: its first.
    Raises as ``AtomicBatch``.
    """
    batch = AtomicBatch(connection, len(writes) + len(targets))
    for write in writes:
        await batch.add(write)
    async for target in signed(key, targets, traceparent):
        await batch.add(Write(target, over.get(target.robot_id, 0)))
    return batch.last_sequence - len(writes) - len(targets) + 1


async def signed(
    key: SigningKey, targets: Sequence[RobotTarget], traceparent: str
) -> AsyncIterator[SignedTarget]:
    """Each of ``targets`` signed, in their order, while the ones before are on their way."""
    for number, target in enumerate(targets, 1):
        yield _signed(key, target, traceparent)
        if number % SIGNED_AT_ONCE == 0:
            await asyncio.sleep(0)


def _signed(key: SigningKey, target: RobotTarget, traceparent: str) -> SignedTarget:
    payload = encode(target)
    made = key.sign(TARGET, payload)
    return SignedTarget(
        robot_id=target.robot_id,
        payload=payload,
        key_id=made.key_id,
        signature=made.signature,
        traceparent=traceparent,
    )
