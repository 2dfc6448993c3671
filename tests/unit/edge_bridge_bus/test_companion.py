"""A process beside the bridge that cannot be started costs its work, and not the bridge."""

from __future__ import annotations

import asyncio
import errno
import os

from edge_bridge.companion import Companion


async def test_a_machine_that_has_no_process_to_give_is_asked_again_later() -> None:
    asked = asyncio.Event()

    def argv(descriptor: int) -> list[str]:
        asked.set()
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    companion = Companion(
        module="edge_bridge.logs",
        argv=argv,
        connect=asyncio.Protocol,
        gone=lambda: None,
        lost_event="logs.lost",
    )
    open_before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a count)
    running = asyncio.ensure_future(companion.run())
    await asked.wait()
    done, _ = await asyncio.wait({running}, timeout=0.1)
    assert not done
    assert len(os.listdir("/proc/self/fd")) == open_before  # noqa: PTH208 (a count)
    running.cancel()
