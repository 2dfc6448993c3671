"""A journal whose disk is full at any of its writes: it says so, loses nothing, and writes again with room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_bridge.converging.converge import Memory
from edge_bridge.journal import Journal, JournalError
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName
from tests.faults.small_disks import BLOCK_BYTES, fill_up, small_disk
from tests.unit.edge_bridge_bus.test_journal import activated

PIPELINES = (None, ModelName("segmenter"))
FACTS = 40


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with small_disk(tmp_path / "disk", 256 * BLOCK_BYTES):
        journal = Journal(tmp_path / "disk" / "journal.db")
        journal.write(dict.fromkeys(PIPELINES, Memory(bytes_fetched=1)), some_facts())
        yield journal
        journal.close()


def some_facts() -> list[Event]:
    return [activated(generation) for generation in range(FACTS)]


def write(journal: Journal) -> None:
    journal.write(dict.fromkeys(PIPELINES, Memory(bytes_fetched=2)), [activated(99)])


def sent(journal: Journal) -> None:
    journal.sent(journal.unsent()[0])


@pytest.mark.parametrize("call", [write, sent])
def test_a_full_disk_is_named_and_what_was_written_stays(
    journal: Journal, tmp_path: Path, call: Callable[[Journal], None]
) -> None:
    filler = tmp_path / "disk" / "filler"
    fill_up(filler)
    with pytest.raises(JournalError, match="Free space"):
        for _ in range(FACTS):
            call(journal)
    before = [one.event for one in journal.unsent()]
    remembered = {journal.memory(name).bytes_fetched for name in PIPELINES}
    assert len(remembered) == 1
    filler.unlink()
    call(journal)
    assert [one.event for one in journal.unsent()] != before
