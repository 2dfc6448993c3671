"""The account of frames holds, frame by frame, while the active worker is killed again and again."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from edge_bridge.workers.ledger import End
from tests.integration.edge_slots.rig import Rig, running
from tests.integration.edge_slots.tiny_models import brightness, failing

FRAME_PERIOD_S = 0.002
KILLS = 4


@asynccontextmanager
async def camera(rig: Rig) -> AsyncIterator[None]:
    """Frames that come whether or not anybody is there to answer them, half of them black."""

    async def run() -> None:
        turn = 0
        while True:
            turn += 1
            rig.push(255 * (turn % 2))
            await asyncio.sleep(FRAME_PERIOD_S)

    running_camera = asyncio.create_task(run())
    try:
        yield
    finally:
        running_camera.cancel()


def replaced(rig: Rig, dead: int) -> bool:
    """Whether another worker serves."""
    return rig.slots.worker_pids.get("active", dead) != dead


async def test_every_frame_has_one_end_and_they_add_up_under_kill_9_of_the_active_worker(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(failing(tmp_path, "v1", on_black=False))  # fails on a bright frame
        await rig.serve(brightness(tmp_path, "v2"))
        async with camera(rig):
            for _ in range(KILLS):
                await rig.until_results(len(rig.results) + 20)
                killed = rig.slots.worker_pids["active"]
                os.kill(killed, signal.SIGSTOP)  # with frames on their way to it
                await asyncio.sleep(3 * FRAME_PERIOD_S)
                os.kill(killed, signal.SIGKILL)
                await rig.until(partial(replaced, rig, killed))
            await rig.until_results(len(rig.results) + 20)
        await rig.until(lambda: rig.slots.ledger.unaccounted() == 0)
        ledger = rig.slots.ledger
        fates = [ledger.fate_of(frame) for frame in range(1, ledger.next_frame)]

    ends = Counter(fate.end for fate in fates if fate is not None)
    assert ends.total() == ledger.frames_captured
    assert ends[End.SERVED] == ledger.frames_served >= 1
    assert ends[End.FAILED] == ledger.frames_failed >= 1
    assert ends[End.DROPPED] == ledger.frames_dropped
    answered = [fate.frame for fate in fates if fate and fate.end in (End.SERVED, End.FAILED)]
    assert sorted(done.frame for done in rig.results) == answered
    assert sum(fate.reissues for fate in fates if fate) == ledger.frames_reissued >= 1
    assert len(rig.fallbacks) == 1
    assert rig.slots.restarts == KILLS - 1
