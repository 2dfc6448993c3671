"""A frame deadline: it passes while the process runs, never while the process stands still."""

from __future__ import annotations

import asyncio
import time

import pytest

from edge_bridge.workers.frame_deadline import SLICES, FrameDeadline

pytestmark = pytest.mark.asyncio

AFTER_S = 0.3


async def test_it_passes_once_when_nobody_answers() -> None:
    passed: list[float] = []
    expired = asyncio.Event()

    def note() -> None:
        passed.append(time.monotonic())
        expired.set()

    FrameDeadline(AFTER_S, note).arm()
    began = time.monotonic()
    await asyncio.wait_for(expired.wait(), timeout=20 * AFTER_S)
    assert passed[0] - began >= AFTER_S * 0.99
    assert len(passed) == 1


async def test_an_answer_in_time_ends_it() -> None:
    passed: list[None] = []
    deadline = FrameDeadline(AFTER_S, lambda: passed.append(None))
    deadline.arm()
    await asyncio.sleep(AFTER_S / 2)
    deadline.disarm()
    await asyncio.sleep(AFTER_S)
    assert not passed


async def test_a_process_that_stood_still_reads_its_answers_before_the_deadline_can_pass() -> None:
    passed: list[None] = []
    deadline = FrameDeadline(AFTER_S, lambda: passed.append(None))
    deadline.arm()
    await asyncio.sleep(AFTER_S * (SLICES - 2) / SLICES)
    time.sleep(2 * AFTER_S)  # noqa: ASYNC251 - the whole loop stands still: that is the case
    await asyncio.sleep(AFTER_S / SLICES)
    assert not passed
    deadline.disarm()
