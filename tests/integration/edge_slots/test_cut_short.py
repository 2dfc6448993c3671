"""Steps that a newer target ends at the worst moment: no worker is left behind, no frame and no fall is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from edge_bridge.converging.health_window import HealthWindow
from edge_bridge.converging.steps import Steps
from edge_bridge.workers.slots import FellBack, Slots
from edge_bridge.workers.twins import NoTwins
from fleetward.contracts.ids import Digest
from tests.integration.edge_slots.rig import running
from tests.integration.edge_slots.tiny_models import brightness
from tests.unit.edge_bridge_bus.test_converge import target


class EndsAsItLoads(NoTwins):
    """Cancels a step in the very turn of the loop in which its worker becomes ready."""

    step: asyncio.Task[object] | None = None

    def loaded(self) -> None:
        if self.step is not None:
            self.step.cancel()


async def test_a_step_that_ends_as_its_worker_becomes_ready_leaves_no_worker(
    tmp_path: Path,
) -> None:
    twins = EndsAsItLoads()
    async with running(twins=twins) as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        serving = rig.workers()
        twins.step = asyncio.ensure_future(rig.slots.stage(brightness(tmp_path, "v2")))
        with pytest.raises(asyncio.CancelledError):
            await twins.step
        assert rig.slots.staged is None
        assert rig.workers() == serving


async def test_a_window_that_is_cut_off_as_it_retires_a_worker_ends_it_and_keeps_its_frames(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        await rig.slots.stage(brightness(tmp_path, "v2"))
        slow = rig.slots.worker_pids["active"]
        os.kill(slow, signal.SIGSTOP)
        rig.push()
        settling = asyncio.ensure_future(rig.slots.switch())
        retiring = asyncio.ensure_future(rig.slots.retire_warm())
        await asyncio.sleep(0)
        retiring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await retiring
        with suppress(ProcessLookupError):
            os.kill(slow, signal.SIGCONT)  # it is as slow as that, and no slower
        await rig.until_results(1)
        await settling
        assert {each.pid for each in rig.workers()} == {rig.slots.worker_pids["active"]}


class Trouble:
    """A watch that has something against whatever serves."""

    def reason_against(self, green: Digest, blue: Digest | None) -> str:
        return "it does badly"


class Looked:
    """What a window sees of the steps."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.watch = Trouble()


async def test_a_fall_is_told_of_although_a_newer_target_ends_the_window_in_that_moment(
    tmp_path: Path,
) -> None:
    """Else the robot would start the model again that it had left."""
    blue, green = brightness(tmp_path, "v1"), brightness(tmp_path, "v2")
    falls: list[FellBack] = []
    async with running() as rig:
        await rig.serve(blue)
        await rig.serve(green)
        window = HealthWindow(
            cast(Steps, Looked(rig.slots)), on_fell_back=falls.append, on_over=lambda: None
        )
        window.start(replace(target("a", 1), digest=green.digest, health_window_s=60.0))
        while rig.slots.active == green:  # noqa: ASYNC110 (each turn of the loop)
            await asyncio.sleep(0)
        window.stop()
        await asyncio.sleep(0)
        assert [(fall.from_digest, fall.to_digest) for fall in falls] == [
            (green.digest, blue.digest)
        ]
