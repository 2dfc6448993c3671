"""Workers are killed, stopped and orphaned; frames and the robot's model survive it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from edge_bridge.errors import LoadFailedError
from tests.integration.edge_slots.rig import SETTINGS, running
from tests.integration.edge_slots.tiny_models import brightness

REPOSITORY = Path(__file__).parents[3]
SHORT_DEADLINE = msgspec.structs.replace(SETTINGS, frame_deadline_s=0.3)


async def test_sigkill_of_the_active_worker_gives_its_frame_to_the_warm_one(
    tmp_path: Path,
) -> None:
    blue, green = brightness(tmp_path, "v1"), brightness(tmp_path, "v2")
    async with running() as rig:
        await rig.serve(blue)
        await rig.serve(green)
        active = rig.slots.worker_pids["active"]
        os.kill(active, signal.SIGSTOP)  # so that the frame is surely in flight
        rig.push()
        os.kill(active, signal.SIGKILL)
        (done,) = await rig.until_results(1)
        fell_back = await rig.until_fallen_back()

        assert (done.frame, done.digest) == (1, blue.digest)
        assert (fell_back.from_digest, fell_back.to_digest) == (green.digest, blue.digest)
        assert fell_back.frames_reissued == rig.slots.ledger.frames_reissued == 1
        assert rig.slots.ledger.frames_dropped == rig.slots.ledger.unaccounted() == 0
        assert (rig.slots.active, rig.slots.warm) == (blue, None)


async def test_hung_worker_is_killed_at_its_deadline_and_the_warm_one_answers(
    tmp_path: Path,
) -> None:
    blue, green = brightness(tmp_path, "v1"), brightness(tmp_path, "v2")
    async with running(SHORT_DEADLINE) as rig:
        await rig.serve(blue)
        await rig.serve(green)
        hung = rig.slots.worker_pids["active"]
        os.kill(hung, signal.SIGSTOP)
        rig.push()
        (done,) = await rig.until_results(1)

        assert done.digest == blue.digest
        assert "0.3 s" in (await rig.until_fallen_back()).reason
        await rig.until(lambda: not psutil.pid_exists(hung))


async def test_worker_that_dies_with_none_warm_is_restarted_with_the_same_model(
    tmp_path: Path,
) -> None:
    model = brightness(tmp_path, "v1")
    async with running() as rig:
        await rig.serve(model)
        dead = rig.slots.worker_pids["active"]
        os.kill(dead, signal.SIGSTOP)
        rig.push()
        os.kill(dead, signal.SIGKILL)
        await rig.until(lambda: not rig.slots.serving)
        rig.push()
        assert rig.slots.ledger.frames_dropped == 2
        await rig.until(lambda: rig.slots.serving)
        rig.push()
        (done,) = await rig.until_results(1)

        assert (done.frame, done.digest) == (3, model.digest)
        assert rig.slots.restarts == 1
        assert rig.slots.ledger.unaccounted() == 0
        assert rig.fallbacks == []


async def test_restart_is_tried_again_until_the_model_loads(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = brightness(tmp_path, "v1")
    aside = tmp_path / "aside"
    async with running() as rig:
        await rig.serve(model)
        model.path.rename(aside)
        os.kill(rig.slots.worker_pids["active"], signal.SIGKILL)
        await rig.until(lambda: "slots.restart_failed" in caplog.text)
        assert not rig.slots.serving
        aside.rename(model.path)
        await rig.until(lambda: rig.slots.serving)

        assert rig.slots.active == model


async def test_frame_that_killed_two_workers_is_dropped_and_not_given_to_a_third(
    tmp_path: Path,
) -> None:
    third = brightness(tmp_path, "v3")
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        await rig.serve(brightness(tmp_path, "v2"))
        await rig.slots.stage(third)
        pids = rig.slots.worker_pids
        for role in ("active", "warm"):
            os.kill(pids[role], signal.SIGSTOP)
        rig.push()
        os.kill(pids["active"], signal.SIGKILL)
        await rig.until_fallen_back()
        swapping = asyncio.create_task(rig.slots.swap())
        await asyncio.sleep(0)
        os.kill(pids["warm"], signal.SIGKILL)
        await swapping
        rig.push()
        (done,) = await rig.until_results(1)

        assert (done.frame, done.digest) == (2, third.digest)
        assert rig.slots.ledger.frames_reissued == rig.slots.ledger.frames_dropped == 1
        assert rig.slots.ledger.unaccounted() == 0


async def test_death_of_the_warm_worker_does_not_disturb_the_active_one(tmp_path: Path) -> None:
    green = brightness(tmp_path, "v2")
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        await rig.serve(green)
        os.kill(rig.slots.worker_pids["warm"], signal.SIGKILL)
        await rig.until(lambda: rig.slots.warm is None)
        rig.push()
        (done,) = await rig.until_results(1)

        assert done.digest == green.digest
        assert rig.fallbacks == []


async def test_worker_killed_while_it_loads_is_a_failed_stage(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        others = rig.workers()
        staging = asyncio.create_task(rig.slots.stage(brightness(tmp_path, "v2")))
        await asyncio.sleep(0)
        (loader,) = rig.workers() - others
        loader.kill()
        with pytest.raises(LoadFailedError, match="its process ended"):
            await staging

        assert rig.slots.serving


async def test_cancelled_stage_leaves_no_worker_behind(tmp_path: Path) -> None:
    async with running() as rig:
        staging = asyncio.create_task(rig.slots.stage(brightness(tmp_path, "v1")))
        await asyncio.sleep(0)
        (loader,) = rig.workers()
        staging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await staging

        assert not loader.is_running()


@pytest.mark.parametrize("doing", ["staging", "restarting"])
async def test_close_ends_a_worker_that_is_still_loading(tmp_path: Path, doing: str) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        active = rig.slots.worker_pids["active"]
        staging = asyncio.create_task(rig.slots.stage(brightness(tmp_path, "v2")))
        if doing == "restarting":
            await staging
            os.kill(active, signal.SIGKILL)
            await rig.until(lambda: not rig.slots.serving)
        await asyncio.sleep(0)

    assert rig.workers() == set()
    if doing == "staging":
        with pytest.raises(LoadFailedError, match="given up"):
            await staging


async def test_close_returns_every_worker_and_the_shared_memory(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        await rig.serve(brightness(tmp_path, "v2"))
        pids = rig.slots.worker_pids.values()
        rig.push()

    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert rig.slots.ledger.unaccounted() == 0
    assert not [link for link in _open_files() if "fleetward-frames" in link]


def _open_files() -> list[str]:
    links = []
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:
            continue  # the listing's own descriptor
    return links


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_worker_dies_with_its_bridge(tmp_path: Path, *, stopped: bool) -> None:
    """A stopped worker cannot see its socket end: then the kernel's death signal must do it."""
    bridge = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.edge_slots.bridge_process", str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
    )
    with bridge:
        assert bridge.stdout is not None
        worker = int(bridge.stdout.readline())
        ended = os.pidfd_open(worker)
        if stopped:
            os.kill(worker, signal.SIGSTOP)
        bridge.kill()
    try:
        assert select.select([ended], [], [], 10)[0], f"worker {worker} outlived its bridge"
    finally:
        os.close(ended)
