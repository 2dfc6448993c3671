"""One thread waits for the disk, in the order in which it was asked."""

from __future__ import annotations

import asyncio
import threading

import pytest

from edge_bridge.disk_thread import DiskThread

LONG_S = 10.0


async def test_what_is_asked_first_is_done_first_and_the_loop_goes_on() -> None:
    disk, done, looped = DiskThread(), list[str](), threading.Event()

    def slow() -> str:
        assert looped.wait(LONG_S), "the loop waited for the disk"
        done.append("slow")
        return "slow"

    first = asyncio.ensure_future(disk.run(slow))
    second = asyncio.ensure_future(disk.run(lambda: done.append("quick")))
    asyncio.get_running_loop().call_soon(looped.set)
    assert await first == "slow"
    await second
    assert done == ["slow", "quick"]
    disk.close()


async def test_what_it_raises_is_told_and_the_next_is_done() -> None:
    disk = DiskThread()
    with pytest.raises(ZeroDivisionError):
        await disk.run(divmod, 1, 0)
    assert await disk.run(divmod, 7, 2) == (3, 1)
    disk.close()
