"""A publish killed -9 anywhere: a whole version or none, and the same push again makes it whole."""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from fleetward.contracts.ids import Version
from fleetward.contracts.registry import UPLOADS_PREFIX, ModelVersion
from model_registry.keys import ADAPTER_PREFIX, MANIFEST_PREFIX, PACK_PREFIX
from testkit.servers import NatsSystem
from tests.integration.model_registry.dying_publishes import DyingPublishes, dying_publishes
from tests.integration.model_registry.failing_scratch import NEVER
from tests.integration.model_registry.memory_store import memory_store
from tests.integration.model_registry.repeated_publish import BASE, RepeatedPublish

KILLS = 200
KILLS_IN_A_ROW = 6
"""So often one publish is killed at most before it is let through."""
ABANDONED = 10
"""So many publishes are tried again only when days have gone by and the store was pruned."""

PLACES = {UPLOADS_PREFIX, PACK_PREFIX, MANIFEST_PREFIX, ADAPTER_PREFIX}
"""Where a publish that was killed leaves things, and where pruning looks for them."""


class Publish(Struct, frozen=True):
    """One version that is to be."""

    version: Version
    content: bytes


@pytest.fixture
async def publishes(
    shared_nats_system: NatsSystem, first_root: Path, tmp_path: Path
) -> AsyncIterator[DyingPublishes]:
    async with memory_store() as store:
        yield await dying_publishes(shared_nats_system, store, tmp_path, first_root)


async def test_kill_9_at_any_of_200_points_of_a_publish(publishes: DyingPublishes) -> None:
    points, versions = await points_of(publishes), versions_of(publishes.model)
    while len(points) > ABANDONED:
        publish = next(versions)
        standing = await killed_in_a_row(publishes, publish, points)
        await expect_whole_again(publishes, publish, standing)
    abandoned = [
        (publish, await killed(publishes, publish, point))
        for point, publish in zip(points, versions, strict=False)
    ]
    left = set(publishes.store.contents)

    named = await publishes.pruned()

    assert named == set(publishes.store.contents)
    assert {prefix for prefix in PLACES for key in left - named if key.startswith(prefix)} == PLACES

    for publish, standing in abandoned:
        publishes.uploads.arrived.clear()
        await expect_whole_again(publishes, publish, standing)
    published, seen = publishes.model.published, await publishes.visible()
    assert set(seen) == set(published)
    for version, content in published.items():
        await publishes.expect_whole(seen[version], content)


async def points_of(publishes: DyingPublishes) -> list[int]:
    """KILLS of the points that a whole publish is seen to have, each about as often."""
    model = publishes.model
    await model.push(BASE, model.another())
    publishes.life.die_at(NEVER)
    await model.push(Version("1.0"), model.another())
    points = range(len(publishes.life.points))
    rounds = -(-KILLS // len(points))
    return random.Random(5).sample([*points] * rounds, KILLS)


def versions_of(model: RepeatedPublish) -> Iterator[Publish]:
    """Versions without end."""
    return (Publish(Version(f"2.{number}"), model.another()) for number in itertools.count())


async def killed_in_a_row(
    publishes: DyingPublishes, publish: Publish, points: list[int]
) -> ModelVersion | None:
    """Killed at point after point until it stands; its version, if it does."""
    publishes.uploads.arrived.clear()
    for _ in range(min(KILLS_IN_A_ROW, len(points) - ABANDONED)):
        standing = await killed(publishes, publish, points.pop())
        if standing is not None:
            return standing
    return None


async def killed(publishes: DyingPublishes, publish: Publish, point: int) -> ModelVersion | None:
    """Its version as it stands then, which is whole or nowhere; the others still stand."""
    await publishes.die_at(point, publish.version, publish.content)

    after = await publishes.visible()

    assert all(key.startswith(tuple(PLACES)) for key in publishes.store.contents)
    standing = after.pop(publish.version, None)
    assert set(after) >= set(publishes.model.published)
    if standing is not None:
        await publishes.expect_whole(standing, publish.content)
    return standing


async def expect_whole_again(
    publishes: DyingPublishes, publish: Publish, standing: ModelVersion | None
) -> None:
    """The next registry, asked for the same, changes nothing that stands, nor wants anything twice."""
    registered = await publishes.model.push(publish.version, publish.content)

    assert registered.already_published is (standing is not None)
    assert registered.version == standing or standing is None
    await publishes.expect_whole(registered.version, publish.content)
    arrived = publishes.uploads.arrived
    assert standing is not None or len(arrived) == len(set(arrived))
