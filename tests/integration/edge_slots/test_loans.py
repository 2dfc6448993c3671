"""A frame is written where the worker reads it: nobody copies it, and its account is kept all the same."""

from __future__ import annotations

import fcntl
import os
import signal
import termios
from array import array
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edge_bridge.errors import FrameRefusedError, LedgerError
from edge_bridge.workers.ledger import End
from edge_bridge.workers.pump import Loan
from tests.integration.edge_slots.rig import PATIENCE_S, SETTINGS, Rig, running
from tests.integration.edge_slots.tiny_models import SIDE_PX, brightness

SHAPE = (SIDE_PX, SIDE_PX, 3)
SOCKET_HOLDS_FEWER = 1000
"""A socket's default buffer is full after some 280 small messages."""


def lent(rig: Rig) -> Loan:
    loan = rig.slots.lend(SHAPE)
    assert loan is not None
    return loan


async def test_what_is_written_into_a_lent_place_is_what_the_model_sees(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        loan = lent(rig)
        np.frombuffer(loan.memory, np.uint8)[:] = 51
        frame = loan.give()
        (done,) = await rig.until_results(1)
    content = done.outputs_summary["y"].content
    assert content is not None
    assert done.frame == frame
    assert np.frombuffer(content, np.float32)[0] == pytest.approx(0.2)


async def test_a_place_that_is_returned_is_no_frame_and_is_lent_again(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        for _ in range(50):
            lent(rig).return_it()
        assert rig.slots.ledger.frames_captured == 0
        assert rig.slots.frames_held == 0


async def test_frames_that_are_begun_and_not_given_tell_a_worker_that_stands_still_once(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        os.kill(rig.slots.worker_pids["active"], signal.SIGSTOP)
        for _ in range(SOCKET_HOLDS_FEWER):
            loan = lent(rig)
            loan.begin()
            loan.return_it()
        frame = lent(rig).give()
        os.kill(rig.slots.worker_pids["active"], signal.SIGCONT)
        (done,) = await rig.until_results(1)
    assert done.frame == frame


def unread_bytes(rig: Rig) -> int:
    """What the kernel holds of the messages that the worker which serves has not read."""
    assert rig.slots._active is not None
    counted = array("i", [0])
    fcntl.ioctl(rig.slots._active._connection, termios.TIOCOUTQ, counted)
    return counted[0]


async def test_a_worker_that_sleeps_is_told_once_of_a_frame_that_begins(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        os.kill(rig.slots.worker_pids["active"], signal.SIGSTOP)
        before = unread_bytes(rig)
        loan = lent(rig)
        loan.begin()
        once = unread_bytes(rig)
        loan.begin()
        twice = unread_bytes(rig)
        loan.return_it()
    assert before == 0
    assert twice == once > 0


async def test_frame_that_was_begun_is_given_to_the_worker_that_serves_by_then(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        loan = lent(rig)
        await rig.serve(brightness(tmp_path, "v2"))
        loan.begin()
        frame = loan.give()
        (done,) = await rig.until_results(1)
        assert done.frame == frame
        assert rig.slots.ledger.unaccounted() == 0


async def test_who_keeps_every_place_is_lent_none_and_frames_that_are_pushed_are_counted(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        kept: list[Loan] = []
        while (loan := rig.slots.lend(SHAPE)) is not None:
            kept.append(loan)
        rig.push()
        assert (fate := rig.slots.ledger.fate_of(1)) is not None
        assert fate.end is End.DROPPED
        for loan in kept:
            loan.return_it()
        assert rig.slots.frames_held == 0


async def test_nothing_is_lent_before_a_model_serves_nor_more_than_a_place_holds(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        assert rig.slots.lend(SHAPE) is None
        await rig.serve(brightness(tmp_path, "v1"))
        with pytest.raises(FrameRefusedError, match="the limit is 192"):
            rig.slots.lend((SETTINGS.frame_limit_bytes + 1,))
        assert rig.slots.frames_held == 0


async def test_a_place_is_given_once(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        loan = lent(rig)
        loan.give()
        with pytest.raises(LedgerError, match="given or returned before"):
            loan.return_it()


async def test_a_frame_whose_worker_went_while_it_was_written_is_dropped_and_counted(
    tmp_path: Path,
) -> None:
    async with running(replace(SETTINGS, restart_delay_s=PATIENCE_S)) as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        loan = lent(rig)
        os.kill(rig.slots.worker_pids["active"], signal.SIGKILL)
        await rig.until(lambda: not rig.slots.serving)
        fate = rig.slots.ledger.fate_of(loan.give())
        assert rig.slots.frames_held == 0
    assert fate is not None
    assert fate.end is End.DROPPED
