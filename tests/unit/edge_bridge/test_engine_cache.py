"""Engines on the disk: the least used go, and a disk that fails leaves the old one or the new one."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from msgspec import structs

from edge_bridge.backends.engine_cache import MAX_ENGINES, EngineCache
from edge_bridge.files import Disk
from fleetward.contracts.ids import Digest
from fleetward.engines.recipe import EngineKey, Platform, Recipe, ShapeRange

PLATFORM = Platform(
    tensorrt="tensorrt 10.3.0",
    cuda_runtime=12060,
    driver="12060 R36",
    gpu="Orin",
    compute_capability="8.7",
    multiprocessors=8,
)
PLAIN = Recipe()
SHAPE = ShapeRange(minimum=(1,), optimum=(1,), maximum=(2,))


def key(number: int = 0, recipe: Recipe = PLAIN, platform: Platform = PLATFORM) -> EngineKey:
    return EngineKey(model=Digest(f"sha256:{number:064x}"), recipe=recipe, platform=platform)


def test_what_is_kept_is_found_by_the_next_process(tmp_path: Path) -> None:
    assert EngineCache(tmp_path).keep_engine(key(), b"engine") == ""
    held = EngineCache(tmp_path).engine(key())
    assert (bytes(held.content or b""), held.refused) == (b"engine", "")
    assert EngineCache(tmp_path).engine(key(1)).content is None


def test_everything_that_an_engine_depends_on_changes_its_name() -> None:
    platforms = []
    for field, value in structs.asdict(PLATFORM).items():
        other = value + 1 if isinstance(value, int) else f"{value}x"
        platforms.append(structs.replace(PLATFORM, **{field: other}))
    recipes = [
        Recipe(shapes={"x": SHAPE}),
        Recipe(shapes={"y": SHAPE}),
        Recipe(workspace_bytes=1),
        Recipe(optimization_level=5),
        Recipe(dla_core=0),
        Recipe(compute_capability="SM86"),
    ]
    names = [key().name, key(1).name]
    names += [key(platform=each).name for each in platforms]
    names += [key(recipe=each).name for each in recipes]
    assert len(set(names)) == len(names)


def test_the_order_in_which_inputs_are_named_does_not_change_a_name() -> None:
    there, back = (Recipe(shapes=dict.fromkeys(names, SHAPE)) for names in ("xy", "yx"))
    assert key(recipe=there).name == key(recipe=back).name


def test_the_least_used_engine_makes_room(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    for number in range(MAX_ENGINES):
        cache.keep_engine(key(number), b"engine")
        os.utime(cache._engine_path(key(number)), ns=(number, number))
    assert cache.engine(key(0)).content is not None  # used now
    cache.keep_engine(key(99), b"engine")
    left = [number for number in (*range(MAX_ENGINES), 99) if cache.engine(key(number)).content]
    assert left == [0, *range(2, MAX_ENGINES), 99]


class FailingDisk(Disk):
    """Fails at one operation."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    def sync(self, descriptor: int) -> None:
        self._fail("sync")
        super().sync(descriptor)

    def rename(self, source: Path, target: Path) -> None:
        self._fail("rename")
        super().rename(source, target)

    def write_at(self, descriptor: int, content: memoryview, offset: int) -> int:
        self._fail("write")
        return super().write_at(descriptor, content, offset)

    def _fail(self, operation: str) -> None:
        if operation == self._operation:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("operation", ["write", "sync", "rename"])
def test_a_disk_that_takes_no_more_leaves_what_was_kept_and_nothing_half_written(
    tmp_path: Path, operation: str
) -> None:
    EngineCache(tmp_path).keep_engine(key(), b"engine")
    failing = EngineCache(tmp_path, disk=FailingDisk(operation))
    assert "no room" in failing.keep_engine(key(), b"another")
    assert bytes(EngineCache(tmp_path).engine(key()).content or b"") == b"engine"
    assert list(tmp_path.glob("*.partial")) == []


def test_an_engine_leaves_the_disk_room_for_what_cannot_be_built_again(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path, reserve_bytes=1 << 62)
    assert "there is no room" in cache.keep_engine(key(), b"engine")
    assert cache.engine(key()).content is None


def test_timing_of_other_hardware_is_not_used(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    cache.keep_timing(b"orin", "a", b"measured")
    assert bytes(cache.timing(b"orin", "a").content or b"") == b"measured"
    assert "other hardware" in cache.timing(b"thor", "a").refused
    assert cache.timing(b"orin", "a").content is None
