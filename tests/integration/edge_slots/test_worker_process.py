"""A worker is a quiet guest on the robot: low priority while it loads, one thread, no talk."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import msgspec
import psutil
import pytest

from edge_bridge.errors import LoadFailedError
from edge_bridge.frames import Frame
from edge_bridge.store import ModelStore
from edge_bridge.workers import protocol
from edge_bridge.workers.protocol import Ready
from edge_bridge.workers.slots import StagedModel
from fleetward.contracts.ids import Digest
from testkit.telemetry import digest_of
from tests.integration.edge_slots.rig import SETTINGS, running
from tests.integration.edge_slots.tiny_models import SIDE_PX, brightness


def _policies(pid: int) -> set[int]:
    """The scheduling policies of a process's threads that still run."""
    policies = set()
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            policies.add(os.sched_getscheduler(int(thread.name)))
        except ProcessLookupError:
            continue
    return policies


THREAD_END_S = 30.0


async def _until_its_loader_ended(worker: psutil.Process) -> None:
    """The loader's thread ends a moment after its join, and the kernel tells nobody."""
    async with asyncio.timeout(THREAD_END_S):
        while worker.num_threads() > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_green_loads_at_idle_priority_and_serves_at_the_normal_one(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        others = rig.workers()
        staging = asyncio.create_task(rig.slots.stage(brightness(tmp_path, "v2")))
        await asyncio.sleep(0)
        (green,) = rig.workers() - others
        seen: set[int] = set()
        while not staging.done():
            seen |= _policies(green.pid)
            await asyncio.sleep(0)
        await staging

        assert os.SCHED_IDLE in seen
        await _until_its_loader_ended(psutil.Process(green.pid))
        assert _policies(green.pid) == {os.SCHED_OTHER}


async def test_first_model_loads_at_normal_priority_for_there_is_nothing_to_disturb(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        staging = asyncio.create_task(rig.slots.stage(brightness(tmp_path, "v1")))
        await asyncio.sleep(0)
        (worker,) = rig.workers()
        seen: set[int] = set()
        while not staging.done():
            seen |= _policies(worker.pid)
            await asyncio.sleep(0)
        await staging

        assert seen == {os.SCHED_OTHER}


async def test_serving_worker_has_one_thread_so_no_library_computes_or_reports_beside_it(
    tmp_path: Path,
) -> None:
    """ONNX Runtime's own telemetry would show as threads of its uploader."""
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        worker = psutil.Process(rig.slots.worker_pids["active"])
        rig.push()
        await rig.until_results(1)

        await _until_its_loader_ended(worker)
        assert [link for link in worker.net_connections("inet") if link.status != "NONE"] == []


async def test_model_that_is_not_ready_in_time_is_refused_and_its_worker_ended(
    tmp_path: Path,
) -> None:
    hasty = msgspec.structs.replace(SETTINGS, load_timeout_s=0.01)
    async with running(hasty) as rig:
        with pytest.raises(LoadFailedError, match=r"not ready after 0\.01 s"):
            await rig.slots.stage(brightness(tmp_path, "v1"))

        assert rig.workers() == set()


async def test_newest_frame_takes_the_place_of_the_one_that_waits(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        for level in (255, 0, 51):  # the first is at the worker, the second waits, the third wins
            size = SIDE_PX * SIDE_PX * 3
            rig.source.push(Frame(bytes([level]) * size, (SIDE_PX, SIDE_PX, 3)))
        done = await rig.until_results(2)

        assert [result.frame for result in done] == [1, 3]
        assert [result.confidence for result in done] == pytest.approx([1.0, 0.2])
        assert rig.slots.ledger.frames_dropped == 1
        assert rig.slots.ledger.unaccounted() == 0


class SwappingStore(ModelStore):
    """Somebody swaps the file as soon as it was verified."""

    swapped_for = b""

    def verify(self, digest: Digest) -> None:
        super().verify(digest)
        self.path(digest).write_bytes(self.swapped_for)


async def test_file_swapped_between_verify_and_mmap_is_never_served(tmp_path: Path) -> None:
    good, evil = brightness(tmp_path, "v1"), brightness(tmp_path, "evil", gain=0.5)
    store = SwappingStore(tmp_path / "models", limit_bytes=10**9, reserve_bytes=0)
    store.swapped_for = evil.path.read_bytes()
    shutil.copy(good.path, store.path(good.digest))
    async with running() as rig:
        store.verify(good.digest)
        swapped = StagedModel(model=good.model, digest=good.digest, path=store.path(good.digest))
        with pytest.raises(LoadFailedError, match="it changed on this robot's disk"):
            await rig.slots.stage(swapped)
        assert rig.slots.staged is None


async def test_forged_proof_of_load_is_no_proof(tmp_path: Path) -> None:
    """A worker that says it mapped other bytes than it was told to is ended, not believed."""
    async with running() as rig:
        staging = asyncio.create_task(rig.slots.stage(brightness(tmp_path, "v1")))
        await asyncio.sleep(0)
        slot = rig.slots._loading
        assert slot is not None
        forged = Ready(digest_mapped=digest_of("e"), load_ms=1.0, warm_up_ms=1.0)
        slot._hear(protocol.encode(forged))
        with pytest.raises(LoadFailedError, match="the worker mapped"):
            await staging
        assert rig.slots.staged is None
        assert not slot.alive
