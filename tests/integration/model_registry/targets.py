"""What the coordinator gives a robot, and what the robot is then granted."""

from __future__ import annotations

from datetime import datetime, timezone

import aiohttp

from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest, RobotId, RolloutId
from fleetward.contracts.registry import FetchGranted, GrantFetch, ModelVersion
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.contracts.rows import Principal
from fleetward.delivery.manifest import decode_manifest, manifest_digest
from testkit.servers import NatsSystem

NOW = datetime.now(timezone.utc)


async def give_target(
    system: NatsSystem, robot: str, model: ModelVersion, fallback: ModelVersion
) -> None:
    """Write a robot's target as the coordinator does."""
    coordinator = await system.connect(Principal.COORDINATOR)
    target = RobotTarget(
        robot_id=RobotId(robot),
        generation=1,
        rollout_id=RolloutId("r-1"),
        model=model.manifest.model,
        digest=model.manifest.digest,
        fallback=fallback.manifest.model,
        fallback_digest=fallback.manifest.digest,
        issued_at=NOW,
    )
    signed = SignedTarget(
        robot_id=RobotId(robot), payload=encode(target), key_id="k", signature=b"s" * 64
    )
    await publish(coordinator, signed)


async def granted(system: NatsSystem, robot: str, digest: Digest) -> FetchGranted:
    """What a robot is answered over its own credentials."""
    connection = await system.connect(robot)
    answer: FetchGranted = await ask(
        connection, GrantFetch(robot_id=RobotId(robot), digest=digest), timeout_s=5.0
    )
    return answer


async def rebuilt(grant: FetchGranted, version: ModelVersion) -> bytes:
    """The file, made by a robot that knows nothing but its grant, from ranges of packs."""
    async with aiohttp.ClientSession() as session:
        encoded = await (await session.get(grant.chunks_url)).read()
        assert version.manifest.chunks is not None
        assert manifest_digest(encoded) == version.manifest.chunks.digest
        content = b""
        for chunk, place in decode_manifest(encoded).places():
            headers = {"Range": f"bytes={place.offset}-{place.offset + chunk.length - 1}"}
            answer = await session.get(grant.packs[place.pack], headers=headers)
            assert answer.status == 206
            content += await answer.read()
    return content
