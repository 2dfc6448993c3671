"""Signs the targets of a decision: each costs more than everything else that is done for it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from fleetward.contracts.codec import encode
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.trust.signing import TARGET, SigningKey

SIGNERS = 2
"""How many threads sign the targets of one decision: a signature is computed beside Python."""


async def signed(
    key: SigningKey, targets: Sequence[RobotTarget], traceparent: str
) -> list[SignedTarget]:
    """Each of ``targets`` signed, in their order."""

    def of_part(part: Sequence[RobotTarget]) -> list[SignedTarget]:
        return [_signed(key, target, traceparent) for target in part]

    if len(targets) <= SIGNERS:
        return of_part(targets)
    size = math.ceil(len(targets) / SIGNERS)
    parts = [targets[start : start + size] for start in range(0, len(targets), size)]
    done = await asyncio.gather(*(asyncio.to_thread(of_part, part) for part in parts))
    return [each for part in done for each in part]


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
