"""Bytes that changed in the store and targets that nobody signed never become a robot's model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from fleetward.bus.connection import close, connect
from fleetward.bus.publish import publish
from fleetward.client.access import read_access
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest, ModelRef, robot_id, rollout_id
from fleetward.contracts.robots import RobotNudged, RobotTarget, SignedTarget
from fleetward.contracts.rollouts import RolloutState, Strategy
from fleetward.contracts.rows import Principal
from fleetward.delivery.manifest import decode_manifest
from fleetward.delivery.s3 import s3_client
from fleetward.local.home import Addresses
from fleetward.trust.signing import TARGET, SigningKey
from model_registry.keys import pack_key
from tests.faults.conftest import Fleetward
from tests.faults.fleet_facts import check_in, eventually, serves, serves_on, target

if TYPE_CHECKING:
    from types_aiobotocore_s3.client import S3Client

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOT = robot_id("robot-1")
Change = Callable[[bytes], bytes]


async def given(system: Fleetward, version: str) -> RolloutState:
    """Roll ``version`` out to everybody at once; how it ended."""
    rollout = await system.start(version, Strategy.ALL_AT_ONCE)
    return (await system.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)).state


async def digest_of(system: Fleetward, version: str) -> tuple[ModelRef, Digest]:
    """What is published under ``version``."""
    manifest = (await system.fleet.model(f"text-detector:{version}")).manifest
    return manifest.model, manifest.digest


@asynccontextmanager
async def bucket(system: Fleetward) -> AsyncIterator[tuple[S3Client, str]]:
    """The bucket, with the registry's own key to it, and its name."""
    home = system.system.home.path
    addresses = msgspec.json.decode((home / "addresses.json").read_bytes(), type=Addresses)
    keys, store = addresses.store_keys.registry, read_access(home).store
    assert store is not None
    async with s3_client(store.endpoint, keys.access_key, keys.secret_key) as client:
        yield client, store.bucket


async def has_deltas(system: Fleetward, version: str) -> bool:
    """Whether the registry has prepared what it makes of a version after its publication."""
    return bool((await system.fleet.model(f"text-detector:{version}")).deltas)


async def keys_of(system: Fleetward, version: str) -> set[str]:
    """Every object that robots could make a version from: packs and deltas."""
    published = await system.fleet.model(f"text-detector:{version}")
    assert published.manifest.chunks is not None
    async with bucket(system) as (client, name):
        answer = await client.get_object(Bucket=name, Key=published.manifest.chunks.key)
        packs = decode_manifest(await answer["Body"].read()).packs()
    return {*map(pack_key, packs), *(offer.stored.key for offer in published.deltas)}


async def overwrite(system: Fleetward, key: str, change: Change) -> bytes:
    """Change an object in place; returns what it was."""
    async with bucket(system) as (client, name):
        held = await client.get_object(Bucket=name, Key=key)
        content = await held["Body"].read()
        await client.put_object(Bucket=name, Key=key, Body=change(content))
    return content


def with_a_flipped_bit(content: bytes) -> bytes:
    """The same length, one bit in the middle of the weights different."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


async def nothing_half_written(system: Fleetward, digest: Digest) -> bool:
    """Whether no robot keeps a part of these bytes."""
    begun = Path(system.system.home.robots).glob("*/models/partial/*")
    return not any(digest.removeprefix("sha256:") in path.name for path in begun)


def give_back(content: bytes, changed: bytes) -> bytes:
    """What an object was before it changed."""
    del changed
    return content


@pytest.mark.parametrize(
    ("build", "change", "word"),
    [
        (1, with_a_flipped_bit, "gave wrong bytes"),
        (2, lambda content: content[: len(content) // 2], "bytes long and"),
    ],
    ids=["a bit flipped", "cut in half"],
)
async def test_bytes_that_changed_in_the_store_are_activated_by_nobody(
    fleetward: Fleetward, build: int, change: Change, word: str
) -> None:
    good = await fleetward.publish_build(10 * build)
    assert await given(fleetward, good) is RolloutState.SUCCEEDED
    bad = await fleetward.publish_build(10 * build + 1)
    _, digest = await digest_of(fleetward, bad)
    await eventually(lambda: has_deltas(fleetward, bad))
    keys = await keys_of(fleetward, bad) - await keys_of(fleetward, good)
    whole = {key: await overwrite(fleetward, key, change) for key in keys}

    rollout = await fleetward.start(bad)
    ended = await fleetward.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)

    assert ended.state is RolloutState.REVERTED
    assert " failed: robot-" in ended.reason
    assert word in ended.reason
    for robot in ("robot-1", "robot-2"):
        said = await serves(fleetward, robot, good)
        assert digest not in said.cached_digests
    await eventually(lambda: nothing_half_written(fleetward, digest))
    for key in keys:
        await overwrite(fleetward, key, partial(give_back, whole[key]))


async def forge(system: Fleetward, generation: int, version: str, key: SigningKey) -> Digest:
    """Write a target as the coordinator would, under another key; the digest that it names.

    This is what an intruder can do who holds the coordinator's credentials and not its key.
    """
    model, digest = await digest_of(system, version)
    forged = RobotTarget(
        robot_id=ROBOT,
        generation=generation,
        rollout_id=rollout_id("forged"),
        model=model,
        digest=digest,
        issued_at=datetime.now(timezone.utc),
    )
    payload = encode(forged)
    signed = key.sign(TARGET, payload)
    access = read_access(system.system.home.path, Principal.COORDINATOR)
    intruder = await connect(access.bus)
    await publish(
        intruder,
        SignedTarget(
            robot_id=ROBOT, payload=payload, key_id=signed.key_id, signature=signed.signature
        ),
    )
    await publish(intruder, RobotNudged(robot_id=ROBOT))
    await close(intruder)
    return digest


async def test_a_target_signed_by_another_key_is_refused_and_the_fleet_goes_on(
    fleetward: Fleetward, tmp_path: Path
) -> None:
    good, wanted = await fleetward.publish_build(30), await fleetward.publish_build(31)
    assert await given(fleetward, good) is RolloutState.SUCCEEDED
    said, newest = await serves(fleetward, ROBOT, good), await target(fleetward, ROBOT)
    assert newest is not None
    intruders_key = SigningKey.create(tmp_path / "intruder.key")

    digest = await forge(fleetward, newest.generation + 1, wanted, intruders_key)

    log = fleetward.system.home.log("edge-bridge.robot-1")

    async def refused() -> bool:
        return "target.distrusted" in log.read_text()

    await eventually(refused)
    await serves_on(fleetward, ROBOT)
    still = await check_in(fleetward, ROBOT)
    assert still is not None
    assert (still.active_model, still.generation) == (said.active_model, said.generation)
    assert digest not in still.cached_digests
    another = await fleetward.publish_build(32)
    assert await given(fleetward, another) is RolloutState.SUCCEEDED
    await serves(fleetward, ROBOT, another)
