"""A real worker that prepares a model stands still while the robot's work suffers, and loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil

from edge_bridge.disturbance.brake import Brake
from edge_bridge.disturbance.limits import DisturbanceLimits
from edge_bridge.disturbance.work import Work
from tests.integration.edge_slots import tiny_models
from tests.integration.edge_slots.rig import SETTINGS, running

LIMITS = DisturbanceLimits(control_loop_p99_s=0.01, calm_s=0.0)


def disturb(work: Work, brake: Brake) -> None:
    """Its loop is late, twice."""
    for _ in range(2):
        work.turned(1.0)
    brake.look()


async def test_a_worker_that_loads_is_stopped_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    work = Work(LIMITS)
    brake = Brake(LIMITS, work)
    async with running(SETTINGS, brake) as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        (serving,) = rig.workers()
        with brake.applied(1):
            disturb(work, brake)
            staging = asyncio.ensure_future(
                rig.slots.stage(tiny_models.brightness(tmp_path, "v2", gain=0.5))
            )
            await rig.until(lambda: len(rig.workers()) == 2)
            (loading,) = rig.workers() - {serving}
            await rig.until(lambda: loading.status() == psutil.STATUS_STOPPED)
            for _ in range(10):
                await rig.show()
            assert loading.status() == psutil.STATUS_STOPPED
            assert not staging.done()
            brake.look()
            assert (await staging).load_ms > 0
        await rig.slots.swap()
        await rig.show(brightness=255)
        assert rig.results[-1].confidence == 0.5
        assert rig.workers() == {serving, loading}
        assert rig.slots.ledger.frames_served == rig.slots.ledger.frames_captured


async def test_a_shadow_sees_no_frame_meanwhile(tmp_path: Path) -> None:
    work = Work(LIMITS)
    brake = Brake(LIMITS, work)
    async with running(SETTINGS, brake) as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        await rig.slots.shadow.start(tiny_models.brightness(tmp_path, "v2"))
        await rig.show()
        disturb(work, brake)
        rig.push()
        await rig.until_results(2)
        assert len(rig.shadowed) == 1
        assert rig.slots.frames_held == 0, "nobody reads it: the shadow was not shown it"
        brake.look()
        await rig.show()
        assert len(rig.shadowed) == 2
