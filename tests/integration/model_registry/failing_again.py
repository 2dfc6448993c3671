"""Fails one push after the other at random points, and expects a whole version or none each time."""

from __future__ import annotations

import asyncio
import random

from fleetward.bus.errors import RefusedError
from fleetward.client.errors import UploadError
from fleetward.contracts.ids import Version
from tests.integration.model_registry.failing_publish import FailingPublish, FailingPublishes
from tests.integration.model_registry.failing_scratch import NEVER
from tests.integration.model_registry.repeated_publish import BASE

POINTS = 34
"""Of each way to fail: there are six, so 204 in all."""
FAILURES_IN_A_ROW = 6
"""So often one push fails at most before it is let through."""


async def expect_failed_often(publishes: FailingPublishes) -> None:
    """Each model was published past its points, and nothing lies on the registries' disks."""
    failed = await asyncio.gather(*(_fail_again_and_again(each) for each in publishes.rigs))
    assert sum(failed) > len(failed) * POINTS // 2, "most points are before the version stands"
    for each in publishes.rigs:
        assert set(await each.visible()) == set(each.published)
        assert list((each.directory / "incoming").iterdir()) == []


async def _fail_again_and_again(publish: FailingPublish) -> int:
    """Fail at random points of as many pushes; how many of them did not get through."""
    await publish.push(BASE, publish.another())
    publish.fault.fail_at(NEVER)
    await publish.push(Version("1.0"), publish.another())
    operations = publish.fault.operations
    chance = random.Random(publish.name)
    points, failed = [chance.randrange(operations) for _ in range(POINTS)], 0
    while points:
        version, content = Version(f"2.{len(points)}"), publish.another()
        failures = 0
        while points and failures < FAILURES_IN_A_ROW:
            if not await _fails(publish, points.pop(), version, content):
                break
            failures += 1
        failed += failures
        await _expect_the_rest_to_follow(publish, version, content)
    return failed


async def _fails(publish: FailingPublish, point: int, version: Version, content: bytes) -> bool:
    """Whether a push that meets a failure ends with words that say what to do."""
    publish.fault.fail_at(point)
    try:
        await publish.push(version, content)
    except (RefusedError, UploadError) as error:
        return "push again" in str(error)
    finally:
        publish.fault.fail_at(NEVER)
    return False


async def _expect_the_rest_to_follow(
    publish: FailingPublish, version: Version, content: bytes
) -> None:
    """The same push succeeds, and sends nothing that had arrived; what is visible stays as it was."""
    before = await publish.visible()

    registered = await publish.push(version, content)

    assert registered.already_published is (version in before)
    assert registered.version == before.get(version, registered.version)
    if version not in before:
        assert len(publish.arrived) == len(set(publish.arrived)), "nothing arrived twice"
    publish.arrived.clear()
