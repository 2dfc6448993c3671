"""A shadow on real workers: it sees what the model that serves sees, and costs it nothing."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.integration.edge_slots import tiny_models
from tests.integration.edge_slots.rig import SETTINGS, Rig, running


def all_served(rig: Rig) -> bool:
    """Whether every frame that was captured got its one answer, from the model that serves."""
    ledger = rig.slots.ledger
    return (
        ledger.frames_served == ledger.frames_captured == len(rig.results)
        and ledger.frames_dropped == 0
        and rig.slots.active is not None
        and {done.digest for done in rig.results} == {rig.slots.active.digest}
    )


async def test_a_shadow_with_the_same_weights_does_not_diverge_and_answers_nobody(
    tmp_path: Path,
) -> None:
    serving = tiny_models.brightness(tmp_path, "v1")
    candidate = tiny_models.brightness(tmp_path, "v2", gain=1.0)
    async with running() as rig:
        await rig.serve(serving)
        ready = await rig.slots.shadow.start(candidate)
        assert ready.digest_mapped == candidate.digest
        await rig.until_compared(10)
        seen = rig.slots.shadow.comparison
        assert seen.divergence() == {"y": 0.0}
        assert seen.latency_ms_mean > 0
        assert {done.digest for done in rig.shadowed} == {candidate.digest}
        assert all_served(rig)
        assert {done.frame for done in rig.shadowed} <= {done.frame for done in rig.results}


async def test_a_shadow_that_answers_otherwise_diverges_by_exactly_so_much(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        await rig.slots.shadow.start(tiny_models.brightness(tmp_path, "v2", gain=0.5))
        await rig.until_compared(10)  # half of them black, half of them white: 0 and 1
        assert rig.slots.shadow.comparison.divergence() == {"y": pytest.approx(0.25)}


async def test_a_shadow_only_has_what_nobody_else_wants_of_the_processor(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        await rig.slots.shadow.start(tiny_models.brightness(tmp_path, "v2", gain=0.5))
        pids = rig.slots.worker_pids
        assert os.sched_getscheduler(pids["shadow"]) == os.SCHED_IDLE
        assert os.sched_getscheduler(pids["active"]) == os.SCHED_OTHER
        await rig.slots.shadow.stop()
        assert "shadow" not in rig.slots.worker_pids


async def test_a_shadow_that_hangs_skips_frames_and_then_ends_while_every_frame_is_served(
    tmp_path: Path,
) -> None:
    async with running(replace(SETTINGS, shadow_deadline_s=0.3)) as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        await rig.slots.shadow.start(tiny_models.brightness(tmp_path, "v2"))
        await rig.show()
        os.kill(rig.slots.worker_pids["shadow"], signal.SIGSTOP)
        while not rig.green_losses:
            rig.push()
            await rig.until_results(len(rig.results) + 1)
        assert "without an answer" in rig.green_losses[0]
        assert rig.slots.shadow.model is None
        assert len(rig.shadowed) == 1
        await rig.show()
        assert all_served(rig)


async def test_a_shadow_that_dies_is_gone_and_every_frame_is_served(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        await rig.slots.shadow.start(tiny_models.brightness(tmp_path, "v2"))
        os.kill(rig.slots.worker_pids["shadow"], signal.SIGSTOP)
        rig.push()
        await rig.until_results(1)
        assert rig.slots.frames_held == 1, "the shadow still reads it"
        os.kill(rig.slots.worker_pids["shadow"], signal.SIGKILL)
        await rig.until(lambda: bool(rig.green_losses))
        assert rig.slots.frames_held == 0
        await rig.show()
        assert rig.fallbacks == []
        assert all_served(rig)


async def test_a_shadow_that_fails_is_counted_and_what_serves_is_not_held_to_it(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        await rig.slots.shadow.start(tiny_models.failing(tmp_path, "v2", on_black=False))
        await rig.show(brightness=255)
        await rig.show(brightness=0)
        seen = rig.slots.shadow.comparison
        assert (seen.errors, seen.frames) == (1, 1)
        assert seen.last_error
        assert all_served(rig)


async def test_a_swap_beside_a_shadow_begins_the_comparison_anew(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(tiny_models.brightness(tmp_path, "v1"))
        await rig.slots.shadow.start(tiny_models.brightness(tmp_path, "v2", gain=0.5))
        await rig.until_compared(4)
        await rig.serve(tiny_models.brightness(tmp_path, "v3", gain=0.25))
        assert rig.slots.shadow.comparison.frames == 0
        await rig.until_compared(4)
        assert rig.slots.shadow.comparison.divergence() == {"y": pytest.approx(0.5)}
