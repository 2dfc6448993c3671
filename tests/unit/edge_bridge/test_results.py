"""Results reach the robot's own program in order, and a slow reader blocks nobody."""

from __future__ import annotations

import asyncio

from edge_bridge.pump import InferenceDone
from edge_bridge.results import ResultQueue
from fleetward.contracts.ids import Digest


def _done(frame: int) -> InferenceDone:
    return InferenceDone(
        frame=frame,
        digest=Digest("sha256:" + "0" * 64),
        captured_ns=0,
        latency_s=0.0,
        perception_s=0.0,
        confidence=None,
        error=None,
        outputs_summary={},
    )


async def test_slow_reader_loses_the_oldest_results_and_can_count_them() -> None:
    queue = ResultQueue(limit=2)
    for frame in range(1, 6):
        queue(_done(frame))
    reader = aiter(queue)
    assert [(await anext(reader)).frame for _ in range(2)] == [4, 5]
    assert queue.overrun == 3


async def test_reader_waits_for_the_next_result() -> None:
    queue = ResultQueue()
    waiting = asyncio.ensure_future(anext(aiter(queue)))
    await asyncio.sleep(0)
    assert not waiting.done()
    queue(_done(1))
    assert (await asyncio.wait_for(waiting, 5)).frame == 1
