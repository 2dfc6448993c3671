"""What the models of a set remember of a switch and of a return is written in one transaction, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.converging.together import Standing
from edge_bridge.journal import JournalError
from fleetward.contracts.ids import RolloutId
from tests.unit.edge_bridge_bus.model_set import NAMES, OLD, Robot, of

Made = Callable[..., Robot]
ALL_PROVED = (Standing.PROVED,) * 3


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return partial(Robot, tmp_path)


@pytest.mark.parametrize("standing", Standing)
async def test_all_become_the_robots_own_in_one_write_once_all_are_proved(
    made: Made, standing: Standing
) -> None:
    robot = made(Standing.PROVED, Standing.PROVED, standing)
    proved = standing is Standing.PROVED
    assert await robot.commit(0) is proved
    assert robot.committed == [proved] * 3
    assert robot.journal.writes == ([[*NAMES]] if proved else [])
    assert all(each.told == ["prepare", "committed"] * proved for each in robot.pipelines)


async def test_whoever_asks_after_that_finds_it_done(made: Made) -> None:
    robot = made(*ALL_PROVED)
    assert await asyncio.gather(*(robot.commit(at) for at in range(3))) == [True] * 3
    assert await robot.commit(1)
    assert len(robot.journal.writes) == 1
    assert [each.told.count("committed") for each in robot.pipelines] == [1] * 3


async def test_one_that_fails_while_reports_are_made_leaves_all_uncommitted(made: Made) -> None:
    robot = made(*ALL_PROVED)
    speech = robot.pipelines[2]

    async def prepare() -> None:
        speech.standing = Standing.PREPARING

    speech.prepare = prepare  # type: ignore[method-assign]  # its worker dies just then
    assert not await robot.commit(0)
    assert robot.committed == [False] * 3


async def test_one_that_took_a_newer_target_meanwhile_leaves_all_uncommitted(made: Made) -> None:
    robot = made(*ALL_PROVED)
    robot.pipelines[2].target = replace(of(NAMES[2]), rollout_id=RolloutId("another"))
    assert not await robot.commit(0)
    assert robot.committed == [False] * 3


async def test_a_full_disk_commits_none_and_the_next_attempt_commits_all(made: Made) -> None:
    robot = made(*ALL_PROVED)
    robot.journal.is_full = True
    with pytest.raises(JournalError):
        await robot.commit(0)
    assert robot.committed == [False] * 3
    assert [each.activated for each in robot.pipelines] == [None] * 3
    robot.journal.is_full = False
    assert await robot.commit(1)
    assert robot.committed == [True] * 3


async def test_a_commit_that_is_cancelled_while_the_disk_writes_is_told_to_all(made: Made) -> None:
    """Else nobody would watch what serves, nor ever retire what is warm."""
    robot = made(*ALL_PROVED)
    loop = asyncio.get_running_loop()
    committing = asyncio.ensure_future(robot.commit(0))
    robot.journal.on_write = partial(loop.call_soon_threadsafe, committing.cancel)
    with pytest.raises(asyncio.CancelledError):
        await committing
    assert robot.committed == [True] * 3
    assert all("committed" in each.told for each in robot.pipelines)


async def test_all_return_in_one_write_with_the_one_that_was_left(made: Made) -> None:
    robot = made(*ALL_PROVED)
    await robot.commit(0)
    own, segmenter, speech = robot.pipelines
    segmenter.left = segmenter.activated
    robot.together.leave_with(segmenter)
    reason = "it switched together with segmenter:v2, which was left again"
    assert own.told[-1] == speech.told[-1] == reason
    await robot.together.write_fall(segmenter)
    assert robot.journal.writes[1:] == [[NAMES[1], NAMES[0], NAMES[2]]]
    assert [robot.journal.memory(name).active for name in NAMES] == [OLD] * 3


async def test_a_return_that_a_full_disk_refuses_is_written_whole_later(made: Made) -> None:
    robot = made(*ALL_PROVED)
    await robot.commit(0)
    segmenter = robot.pipelines[1]
    segmenter.left = segmenter.activated
    robot.journal.is_full = True
    with pytest.raises(JournalError):
        await robot.together.write_fall(segmenter)
    assert [robot.journal.memory(name).active == OLD for name in NAMES] == [False] * 3
    robot.journal.is_full = False
    await robot.together.write_fall(segmenter)
    assert [robot.journal.memory(name).active == OLD for name in NAMES] == [True] * 3


async def test_one_that_went_on_to_a_newer_model_is_not_taken_back(made: Made) -> None:
    robot = made(*ALL_PROVED)
    await robot.commit(0)
    own, segmenter, speech = robot.pipelines
    newer = replace(of(NAMES[2]), rollout_id=RolloutId("another"), together=())
    speech.remembered.memory = replace(speech.remembered.memory, activated=newer)
    segmenter.left = segmenter.activated
    await robot.together.write_fall(segmenter)
    assert own.remembered.memory.active == OLD
    assert speech.remembered.memory.active != OLD


async def test_one_that_has_no_earlier_model_stays(made: Made) -> None:
    robot = made(*ALL_PROVED)
    await robot.commit(0)
    own, segmenter, speech = robot.pipelines
    speech.returns = False
    segmenter.left = segmenter.activated
    await robot.together.write_fall(segmenter)
    assert own.remembered.memory.active == OLD
    assert speech.remembered.memory.active != OLD
