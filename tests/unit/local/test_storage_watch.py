"""A server that could not write is started again once there is room, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from fleetward.local import storage_watch
from fleetward.local.happenings import Happening, StorageFailed
from fleetward.local.storage_watch import StorageWatch

FAILED_WRITE = "[7] [ERR] Filestore [ALERTS] Critical write error: no space left on device\n"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_watch, "LOOK_EVERY_S", 0.01)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


@pytest.mark.usefixtures("quick")
async def test_one_restart_per_failure_and_none_for_words_of_an_earlier_life(
    tmp_path: Path,
) -> None:
    log = tmp_path / "nats-server.log"
    log.write_text(FAILED_WRITE)
    told: list[Happening] = []
    restarts: list[int] = []
    watch = StorageWatch("nats-server", log, tmp_path, lambda: restarts.append(1), told.append)
    watching = asyncio.ensure_future(watch.run())
    await asyncio.sleep(0.05)
    assert not told
    with log.open("a") as file:
        file.write("[7] [INF] all is well\n" + FAILED_WRITE * 3)
    await until(lambda: bool(restarts))
    await asyncio.sleep(0.05)
    watching.cancel()
    assert told == [StorageFailed(name="nats-server", directory=tmp_path)]
    assert restarts == [1]


@pytest.mark.usefixtures("quick")
async def test_no_restart_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "nats-server.log"
    log.touch()
    told: list[Happening] = []
    restarts: list[int] = []
    monkeypatch.setattr(storage_watch, "ROOM_BYTES", 1 << 62)
    watch = StorageWatch("nats-server", log, tmp_path, lambda: restarts.append(1), told.append)
    watching = asyncio.ensure_future(watch.run())
    log.write_text(FAILED_WRITE)
    await until(lambda: bool(told))
    await asyncio.sleep(0.05)
    assert not restarts
    monkeypatch.setattr(storage_watch, "ROOM_BYTES", 0)
    await until(lambda: bool(restarts))
    watching.cancel()
