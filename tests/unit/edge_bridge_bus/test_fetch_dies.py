"""A robot that dies anywhere in a fetch: never a half model, never a wrong byte, and it goes on."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.edge_bridge_bus.fetch_rig import RANGE_BYTES, SMALL, QuickDisk, Rig
from tests.unit.edge_bridge_bus.fetched_deltas import BASE, NEXT, TwoVersions
from tests.unit.edge_bridge_bus.mortal_disk import Death, Died, MortalDisk
from tests.unit.edge_bridge_bus.object_server import CHUNK_BYTES, cut_evenly
from tests.unit.edge_bridge_bus.test_fetch_disk import assert_only_whole_models

KILLS = 100
"""Of a fetch, and as many of an update by delta."""
AGAIN_BYTES = RANGE_BYTES + 2 * CHUNK_BYTES
"""The range on its way, one chunk that is being written and one that waits."""


@pytest.fixture
def plain(rig: Rig) -> Rig:
    """The target comes in chunks."""
    rig.publish(cut_evenly(SMALL))
    return rig


@pytest.fixture
async def versions(rig: Rig, tmp_path: Path) -> TwoVersions:
    """The target comes by a delta."""
    versions = TwoVersions(rig, tmp_path)
    await versions.publish()
    return versions


async def operations_of(rig: Rig) -> int:
    """How many operations a fetch takes, about; the store is as it was."""
    disk = MortalDisk(rig.models)
    rig.open_store(disk)
    await rig.fetch()
    rig.store.remove(rig.target.digest)
    return disk.operations


async def died(rig: Rig, death: Death) -> bool:
    """Fetch until it dies, and start again; what is whole is in the store, and nothing else."""
    disk = MortalDisk(rig.models, death)
    rig.open_store(disk)
    with suppress(Died):
        await rig.fetch()
    disk.survive()
    rig.open_store(QuickDisk())
    assert_only_whole_models(rig)
    return disk.is_dead


async def go_on(rig: Rig, content: bytes) -> None:
    """As a bridge does that starts again: what is in the store is not fetched."""
    if rig.target.digest not in rig.store.digests():
        await rig.fetch()
        rig.assert_arrived(content)
    assert rig.store.path(rig.target.digest).read_bytes() == content
    rig.store.remove(rig.target.digest)
    rig.store.forget_partial(rig.target.digest)


async def killed(rig: Rig, content: bytes, quoted_bytes: int) -> None:
    operations, chance, deaths = await operations_of(rig), random.Random(5), 0
    while deaths < KILLS:
        rig.objects.sent_bytes = 0
        deaths += await died(rig, Death(chance.randrange(operations)))
        await go_on(rig, content)
        assert rig.objects.sent_bytes <= quoted_bytes + AGAIN_BYTES


async def crashed(rig: Rig, content: bytes) -> None:
    deaths, operations = 0, await operations_of(rig)
    for point in range(operations):
        deaths += await died(rig, Death(point, is_power_cut=True))
        await go_on(rig, content)
    assert deaths > operations * 0.9


async def test_kill_9_at_any_point_of_a_fetch(plain: Rig) -> None:
    await killed(plain, SMALL, plain.chunks_bytes + len(SMALL))


async def test_kill_9_at_any_point_of_an_update_by_delta(versions: TwoVersions) -> None:
    await killed(versions.rig, NEXT, versions.quoted_bytes)
    assert versions.rig.store.path(versions.base).read_bytes() == BASE


async def test_crash_at_each_fsync_of_a_fetch(plain: Rig) -> None:
    """And at every other operation: the power is cut, with all that was not durable."""
    await crashed(plain, SMALL)


async def test_crash_at_each_fsync_of_an_update_by_delta(versions: TwoVersions) -> None:
    await crashed(versions.rig, NEXT)
    assert versions.rig.store.path(versions.base).read_bytes() == BASE
