"""A process ends when it is told to, also while it waits, and its status says how it went."""

from __future__ import annotations

import asyncio
import json

import pytest

from fleetward.bus.process import EXIT_FAILED, exit_status, unless_stopped
from fleetward.contracts.errors import FleetwardError


def test_failure_is_a_status_and_a_line_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run() -> None:
        raise FleetwardError("FLEETWARD_NATS_URL is not set.")

    assert exit_status("alerting", run) == EXIT_FAILED
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["service"]) == ("process.failed", "alerting")
    assert line["error"] == "FLEETWARD_NATS_URL is not set."


def test_defect_is_not_dressed_up_as_a_failure() -> None:
    def run() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        exit_status("alerting", run)


async def test_work_that_ends_first_gives_its_result() -> None:
    assert await unless_stopped(asyncio.Event(), asyncio.sleep(0, "connected")) == "connected"


async def test_work_that_breaks_raises_what_broke_it() -> None:
    async def break_down() -> None:
        raise FleetwardError("the disk is gone.")

    with pytest.raises(FleetwardError, match="the disk is gone"):
        await unless_stopped(asyncio.Event(), break_down())


async def test_a_stop_ends_work_that_would_wait_for_ever() -> None:
    stopping, cancelled = asyncio.Event(), asyncio.Event()

    async def wait_for_ever() -> None:
        stopping.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    await unless_stopped(stopping, wait_for_ever())
    await cancelled.wait()


async def test_work_that_swallows_a_cancellation_is_cancelled_again() -> None:
    stopping, swallowed = asyncio.Event(), 0

    async def linger() -> None:
        nonlocal swallowed
        stopping.set()
        while swallowed < 2:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                swallowed += 1

    await asyncio.wait_for(unless_stopped(stopping, linger()), 60)
    assert swallowed == 2
