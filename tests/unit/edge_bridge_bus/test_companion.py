"""A process beside the bridge that cannot be started costs its work, and not the bridge."""

from __future__ import annotations

import asyncio
import errno
import os

from edge_bridge.companion import Companion


def descriptors() -> set[str]:
    """Those that this process has open; what tests before this one left may be closed meanwhile."""
    return set(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names)


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
    open_before = descriptors()
    running = asyncio.ensure_future(companion.run())
    await asked.wait()
    done, _ = await asyncio.wait({running}, timeout=0.1)
    assert not done
    assert descriptors() <= open_before
    running.cancel()
