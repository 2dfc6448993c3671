"""A worker that takes more and more memory: it is noticed and replaced, and the robot serves on.

The model leaks for real: its own state grows with every frame.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from tests.integration.edge_slots.rig import SETTINGS, Rig, running
from tests.integration.edge_slots.tiny_models import brightness, leaking

MIB = 1024 * 1024
LEAK_FLOATS = MIB // 4
"""A MiB with each frame, and what the runtime copies of it."""
SLOW_LEAK_FLOATS = LEAK_FLOATS // 16
FRAME_PERIOD_S = 0.01
FRAMES_MEANWHILE = 20
"""So many are served while a successor loads; then it is waited for, as on a busy machine it takes long."""
GROWTH_BYTES = 12 * MIB
WATCHED = replace(SETTINGS, growth_limit_bytes=GROWTH_BYTES, weigh_every_frames=2)
UNWATCHED = replace(SETTINGS, growth_limit_bytes=1024 * MIB)
FRAMES_LIMIT = 2_000
RENEWALS = 2
MEMORY_GROUPS = Path("/sys/fs/cgroup")
WORKER_MORE_BYTES = 48 * MIB


def own_bytes(pid: int) -> int:
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - memory.shared)


def assert_every_frame_was_served(rig: Rig) -> None:
    ledger = rig.slots.ledger
    assert (ledger.frames_dropped, ledger.frames_failed, ledger.unaccounted()) == (0, 0, 0)
    assert ledger.frames_served == len(rig.results)


async def test_a_worker_that_leaks_gets_a_successor_again_and_again_and_no_frame_is_lost(
    tmp_path: Path,
) -> None:
    leaky = leaking(tmp_path, "v1", floats_a_frame=SLOW_LEAK_FLOATS)
    async with running(WATCHED) as rig:
        await rig.serve(leaky)
        pids = {rig.slots.worker_pids["active"]}
        at_first_bytes = most_bytes = own_bytes(*pids)
        meanwhile = 0
        while rig.slots.renewals < RENEWALS and len(rig.results) < FRAMES_LIMIT:
            await asyncio.gather(rig.show(), asyncio.sleep(FRAME_PERIOD_S))
            meanwhile = meanwhile + 1 if len(rig.workers()) > 1 else 0
            if meanwhile == FRAMES_MEANWHILE:
                await rig.until(lambda: len(rig.workers()) == 1)
            pids.add(rig.slots.worker_pids["active"])
            most_bytes = max(most_bytes, own_bytes(rig.slots.worker_pids["active"]))
        assert rig.slots.renewals == RENEWALS
        assert rig.slots.restarts == 0, "none had to be killed"
        assert most_bytes < at_first_bytes + 3 * GROWTH_BYTES
        assert_every_frame_was_served(rig)
        assert {done.digest for done in rig.results} == {leaky.digest}
        (active,) = rig.slots.worker_pids.values()
        await rig.until(lambda: {each.pid for each in rig.workers()} == {active})
        assert len(pids) == 1 + RENEWALS


async def test_a_new_model_that_leaks_while_the_old_one_is_warm_is_left_for_it(
    tmp_path: Path,
) -> None:
    old, leaky = brightness(tmp_path, "v1"), leaking(tmp_path, "v2", floats_a_frame=LEAK_FLOATS)
    async with running(WATCHED) as rig:
        await rig.serve(old)
        await rig.serve(leaky)
        while not rig.fallbacks and len(rig.results) < FRAMES_LIMIT:
            await rig.show()
        (fell,) = rig.fallbacks
        assert (fell.from_digest, fell.to_digest) == (leaky.digest, old.digest)
        assert "leaks: it took" in fell.reason
        await rig.show()
        assert rig.results[-1].digest == old.digest
        assert_every_frame_was_served(rig)


async def test_a_leak_that_outruns_its_successor_is_ended_before_it_has_the_machine_s_memory(
    tmp_path: Path,
) -> None:
    leaky = leaking(tmp_path, "v1", floats_a_frame=LEAK_FLOATS)
    async with running(WATCHED) as rig:
        await rig.serve(leaky)
        pid = rig.slots.worker_pids["active"]
        at_first_bytes = most_bytes = own_bytes(pid)
        while rig.slots.worker_pids.get("active") == pid and len(rig.results) < FRAMES_LIMIT:
            most_bytes = max(most_bytes, own_bytes(pid))
            await rig.show()
        await rig.until(lambda: not psutil.pid_exists(pid) and rig.slots.serving)
        assert GROWTH_BYTES < most_bytes - at_first_bytes < 4 * GROWTH_BYTES
        await rig.show()
        assert rig.slots.ledger.unaccounted() == 0


@contextmanager
def memory_group(more_bytes: int) -> Iterator[Path]:
    """Where processes are put that may only take so much more together; skips where it cannot be made."""
    versions = {
        MEMORY_GROUPS / "memory": "memory.limit_in_bytes",
        MEMORY_GROUPS: "memory.max",
    }
    for groups, limit in versions.items():
        group = groups / f"fleetward-test-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(more_bytes))
        except OSError:
            continue
        try:
            yield group / "cgroup.procs"
        finally:
            group.rmdir()
        return
    pytest.skip("a memory limit for a group of processes is not allowed here")


async def test_a_worker_that_the_kernel_kills_at_its_memory_limit_leaves_its_frame_to_the_old_model(
    tmp_path: Path,
) -> None:
    old, leaky = brightness(tmp_path, "v1"), leaking(tmp_path, "v2", floats_a_frame=LEAK_FLOATS)
    with memory_group(WORKER_MORE_BYTES) as processes:
        async with running(UNWATCHED) as rig:
            await rig.serve(old)
            await rig.serve(leaky)
            processes.write_text(str(rig.slots.worker_pids["active"]))
            while not rig.fallbacks and len(rig.results) < FRAMES_LIMIT:
                await rig.show()
            (fell,) = rig.fallbacks
            assert (fell.to_digest, fell.frames_reissued) == (old.digest, 1)
            assert rig.results[-1].digest == old.digest, "the frame it died with"
            assert_every_frame_was_served(rig)


async def test_a_worker_is_what_the_kernel_takes_first_when_memory_ends(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        pid = rig.slots.worker_pids["active"]
        theirs = int(Path(f"/proc/{pid}/oom_score_adj").read_text("ascii"))
        assert theirs > int(Path("/proc/self/oom_score_adj").read_text("ascii"))
