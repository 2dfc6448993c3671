"""A disk or a store that fails anywhere in a publish: a whole version or none, and nothing for good."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fleetward.bus.errors import RefusedError
from fleetward.client.errors import UploadError
from fleetward.contracts.ids import ModelName, Version
from testkit.servers import NatsSystem, ObjectStore
from tests.integration.model_registry import bucket
from tests.integration.model_registry.failing_publish import (
    BASE,
    FailingPublish,
    FailingPublishes,
    failing_publishes,
)
from tests.integration.model_registry.failing_scratch import NEVER
from tests.integration.model_registry.failing_store import Failure
from tests.integration.model_registry.whole_versions import expect_whole

pytestmark = pytest.mark.slow

POINTS = 192

DISK_FAILURES = {"disk-full": errno.ENOSPC, "disk-broken": errno.EIO}
STORE_FAILURES = {
    "store-full": Failure.FULL,
    "store-broken": Failure.BROKEN,
    "store-unheard": Failure.UNHEARD,
    "store-unanswered": Failure.UNANSWERED,
}
WAYS = {
    "the disk": ("disk-full", "disk-broken"),
    "the store": ("store-full", "store-broken"),
    "the way to the store": ("store-unheard", "store-unanswered"),
}
GROUPS = 12
"""Two for each way to fail, at once. Each has a model of its own and a share of the points."""


@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
async def test_a_publish_that_fails_at_any_point_is_whole_or_nowhere(
    registry_environment: Mapping[str, str],
    shared_nats_system: NatsSystem,
    object_store: ObjectStore,
    tmp_path: Path,
    ways: tuple[str, ...],
) -> None:
    names = [ModelName(f"{way}-{half}") for way in ways for half in ("a", "b")]
    async with failing_publishes(
        names, shared_nats_system, object_store, registry_environment, tmp_path
    ) as publishes:
        failed = await asyncio.gather(*(_group(each) for each in publishes.rigs))

        assert sum(failed) > len(names) * POINTS // GROUPS // 2, (
            "most points are before the version stands"
        )
        for each in publishes.rigs:
            versions = await each.visible()
            assert len(versions) == len(each.published) == POINTS // GROUPS + 2
            await expect_whole(object_store, *versions.values())
        await _expect_nothing_left_after_a_prune(publishes, object_store, tmp_path)


async def _group(publish: FailingPublish) -> int:
    """Fail at random points of as many publishes; how many of them did not get through."""
    await publish.push(BASE, publish.another())
    operations, fail_at = await _ways_to_fail(publish)
    chance = random.Random(publish.name)
    failed = 0
    for number in range(POINTS // GROUPS):
        content, version = publish.another(), Version(f"2.{number}")
        fail_at(chance.randrange(operations))
        failed += await _fails(publish, version, content)
        fail_at(NEVER)
        await _expect_the_rest_to_follow(publish, version, content)
    return failed


async def _fails(publish: FailingPublish, version: Version, content: bytes) -> bool:
    """Whether a push ends with words that say what to do."""
    try:
        await publish.push(version, content)
    except (RefusedError, UploadError) as error:
        return "push again" in str(error)
    return False


async def _ways_to_fail(publish: FailingPublish) -> tuple[int, Callable[[int], None]]:
    """How many operations a publish takes, and what lets the one of a number fail."""
    publish.store.fail_at(NEVER, Failure.FULL)
    publish.scratch.fail_at(NEVER, 0)
    await publish.push(Version("1.0"), publish.another())
    kind = publish.name[:-2]
    if kind in DISK_FAILURES:
        number = DISK_FAILURES[kind]
        return publish.scratch.operations, lambda point: publish.scratch.fail_at(point, number)
    failure = STORE_FAILURES[kind]
    return publish.store.requests, lambda point: publish.store.fail_at(point, failure)


async def _expect_the_rest_to_follow(
    publish: FailingPublish, version: Version, content: bytes
) -> None:
    """The same push succeeds, and sends nothing that had arrived; what is visible stays as it was."""
    before = await publish.visible()
    arrived = set(publish.store.arrived)
    publish.store.arrived.clear()

    registered = await publish.push(version, content)

    assert registered.already_published is (version in before)
    assert registered.version == before.get(version, registered.version)
    if version not in before:
        assert arrived.isdisjoint(publish.store.arrived)
    publish.store.arrived.clear()


async def _expect_nothing_left_after_a_prune(
    publishes: FailingPublishes, object_store: ObjectStore, directory: Path
) -> None:
    """Everything in the bucket is named by a version, once the pruner has been there."""
    named = await publishes.pruned(directory)
    assert await bucket.kept_in(object_store) == named
    assert not [key for key in await bucket.keys_in(object_store) if key.startswith("uploads/")]
    assert await bucket.unfinished_in(object_store) == set()
    for each in publishes.rigs:
        assert list((each.directory / "incoming").iterdir()) == []
