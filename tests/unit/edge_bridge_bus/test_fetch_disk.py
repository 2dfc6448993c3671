"""A disk that fails anywhere in a fetch: never a half model in the store, never a wrong byte."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import threading
from pathlib import Path

import pytest

from edge_bridge.errors import DiskFailedError, DiskFullError
from tests.unit.edge_bridge_bus.fetch_rig import SMALL, QuickDisk, Rig
from tests.unit.edge_bridge_bus.fetched_deltas import BASE, NEXT, TwoVersions
from tests.unit.edge_bridge_bus.object_server import cut_evenly

POINTS = 50


class FailingDisk(QuickDisk):
    """Fails the operation numbered ``fails_at``, and half-way through if that is a write."""

    def __init__(self, fails_at: int, number: int) -> None:
        self.operations = 0
        self.descriptors = set[int]()
        """Those that are open."""
        self._fails_at = fails_at
        self._number = number

    @property
    def has_failed(self) -> bool:
        return self.operations > self._fails_at

    def open_to_read(self, path: Path) -> int:
        self._count()
        return self._opened(super().open_to_read(path))

    def open_to_write(self, path: Path) -> int:
        self._count()
        return self._opened(super().open_to_write(path))

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        self._count()
        return super().read_at(descriptor, length, offset)

    def write_at(self, descriptor: int, content: memoryview, offset: int) -> int:
        if self.operations == self._fails_at:
            super().write_at(descriptor, content[: len(content) // 2], offset)
        self._count()
        return super().write_at(descriptor, content, offset)

    def truncate(self, descriptor: int, size_bytes: int) -> None:
        self._count()
        super().truncate(descriptor, size_bytes)

    def sync(self, descriptor: int) -> None:
        self._count()
        super().sync(descriptor)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self.descriptors.discard(descriptor)
        self._count()

    def rename(self, source: Path, target: Path) -> None:
        self._count()
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        self._count()
        super().unlink(path)

    def sync_directory(self, directory: Path) -> None:
        self._count()
        super().sync_directory(directory)

    def _opened(self, descriptor: int) -> int:
        self.descriptors.add(descriptor)
        return descriptor

    def _count(self) -> None:
        self.operations += 1
        if self.operations == self._fails_at + 1:
            raise OSError(self._number, os.strerror(self._number))


async def operations_of_a_fetch(rig: Rig) -> int:
    disk = FailingDisk(2**60, errno.EIO)
    rig.open_store(disk)
    await rig.fetch()
    return disk.operations


async def fail_at(rig: Rig, point: int, number: int, content: bytes) -> None:
    """One fetch on a disk that fails once; then the robot starts anew on a disk that works."""
    disk = FailingDisk(point, number)
    rig.open_store(disk)
    try:
        await rig.fetch()
    except (DiskFailedError, DiskFullError):
        assert disk.has_failed
    assert not disk.descriptors, "each would be one less for good"
    rig.open_store(QuickDisk())
    assert_only_whole_models(rig)
    await rig.fetch()
    rig.assert_arrived(content)


def assert_only_whole_models(rig: Rig) -> None:
    for digest in rig.store.digests():
        assert rig.store.files.digest(rig.store.path(digest)) == digest
        rig.store.manifest(digest)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_fails_at_any_point_of_a_fetch(rig: Rig, number: int) -> None:
    rig.publish(cut_evenly(SMALL))
    operations = await operations_of_a_fetch(rig)
    rig.assert_arrived(SMALL)
    chance = random.Random(number)
    for _ in range(POINTS):
        rig.store.remove(rig.target.digest)
        await fail_at(rig, chance.randrange(operations), number, SMALL)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
async def test_a_disk_that_fails_at_any_point_of_an_update_by_delta(
    rig: Rig, tmp_path: Path, number: int
) -> None:
    versions = TwoVersions(rig, tmp_path)
    await versions.publish()
    operations = await operations_of_a_fetch(rig)
    rig.assert_arrived(NEXT)
    chance = random.Random(number)
    for _ in range(POINTS):
        rig.store.remove(rig.target.digest)
        await fail_at(rig, chance.randrange(operations), number, NEXT)
        assert rig.store.path(versions.base).read_bytes() == BASE


class ForgetfulDisk(QuickDisk):
    """Reads zeros, as a disk does that lost a block."""

    def read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        return bytes(len(super().read_at(descriptor, length, offset)))


async def test_what_arrived_and_changed_on_the_disk_is_proved_again_before_it_counts(
    rig: Rig,
) -> None:
    twice = [b"a" * 5000, b"b" * 5000, b"a" * 5000]
    rig.publish(twice)
    rig.open_store(ForgetfulDisk())
    with pytest.raises(DiskFailedError, match="changed on the disk"):
        await rig.fetch()
    rig.assert_nothing_there()
    rig.open_store(QuickDisk())
    cost = await rig.fetch()
    rig.assert_arrived(b"".join(twice))
    assert cost.received_bytes == rig.chunks_bytes + 10_000, "what arrived was kept"


class SlowDisk(FailingDisk):
    """Opens what has arrived of a model once it ``goes_on``: to go on with it, or to hash it when it is whole."""

    def __init__(self, rig: Rig, *, whole: bool) -> None:
        super().__init__(2**60, errno.EIO)
        self.asked, self.goes_on = threading.Event(), threading.Event()
        self._arriving = rig.models / "partial" / rig.target.digest.removeprefix("sha256:")
        self._whole = whole

    def open_to_read(self, path: Path) -> int:
        descriptor = super().open_to_read(path)
        if self._whole:
            self._wait_at(path)
        return descriptor

    def open_to_write(self, path: Path) -> int:
        descriptor = super().open_to_write(path)
        if not self._whole:
            self._wait_at(path)
        return descriptor

    def _wait_at(self, path: Path) -> None:
        if path == self._arriving:
            self.asked.set()
            assert self.goes_on.wait(10)


async def break_off(rig: Rig, disk: SlowDisk) -> None:
    """A fetch, by a newer target, while the disk takes its time."""
    rig.open_store(disk)
    fetching = asyncio.ensure_future(rig.fetch())
    assert await asyncio.to_thread(disk.asked.wait, 10)
    fetching.cancel()
    await asyncio.sleep(0)
    disk.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert not disk.descriptors


async def test_a_fetch_that_is_broken_off_while_it_looks_at_what_is_there_leaves_nothing_open(
    rig: Rig,
) -> None:
    await break_off(rig, SlowDisk(rig, whole=False))


async def test_a_fetch_that_is_broken_off_while_a_whole_model_is_hashed_ends_when_the_store_has_it(
    rig: Rig,
) -> None:
    await break_off(rig, SlowDisk(rig, whole=True))
    rig.assert_arrived()
