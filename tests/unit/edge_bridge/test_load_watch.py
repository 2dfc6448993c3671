"""A load has its time; a build has its own, longer one."""

from __future__ import annotations

import asyncio

import pytest

from edge_bridge.backends.engine_settings import EngineSettings
from edge_bridge.workers.load_watch import LoadWatch
from edge_bridge.workers.protocol import Preparing
from edge_bridge.workers.slot_settings import SlotSettings

SETTINGS = SlotSettings(
    gentle_load_s=10,
    load_timeout_s=100,
    gentle_build_s=1_000,
    engines=EngineSettings(build_limit_s=10_000),
)


async def test_a_build_may_take_longer_than_a_load_and_stays_gentle_for_longer() -> None:
    loop = asyncio.get_running_loop()
    watch = LoadWatch(SETTINGS, lambda: None, lambda limit_s: None)
    first = watch._hasten, watch._late
    began_s = loop.time()
    for step in (1, 2):
        watch.preparing(Preparing(phase="Building engine", step=step, steps=2))

    assert all(timer.cancelled() for timer in first)
    assert watch._hasten.when() - began_s == pytest.approx(1_000, abs=5)
    assert watch._late.when() - began_s == pytest.approx(10_100, abs=5)
    watch.stop()
    assert watch._hasten.cancelled()
    assert watch._late.cancelled()


async def test_a_load_that_stands_still_loses_no_time() -> None:
    loop = asyncio.get_running_loop()
    watch = LoadWatch(SETTINGS, lambda: None, lambda limit_s: None)
    first = watch._hasten, watch._late
    watch.pause()
    assert all(timer.cancelled() for timer in first)
    watch.preparing(Preparing(phase="Building engine", step=1, steps=2))
    assert watch._late is first[1], "what it said before it stood still starts no timer"
    watch.resume()
    assert watch._hasten.when() - loop.time() == pytest.approx(1_000, abs=5)
    assert watch._late.when() - loop.time() == pytest.approx(10_100, abs=5)
    watch.stop()
