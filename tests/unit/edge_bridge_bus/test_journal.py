"""What the journal promises holds through kill -9: both or neither, in order, under one id."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from edge_bridge.converging.converge import Memory
from edge_bridge.journal import Journal
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId, ModelName, ModelRef, RobotId, RolloutId, Version
from fleetward.contracts.robots import ModelActivated, RobotCheckedIn
from testkit.telemetry import digest_of

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def activated(generation: int) -> ModelActivated:
    return ModelActivated(
        robot_id=RobotId("r1"),
        rollout_id=RolloutId("ro1"),
        generation=generation,
        model=ModelRef(ModelName("det"), Version("1")),
        digest=digest_of("a"),
        inferences=20,
        swap_ms=1.0,
        warm_up_ms=2.0,
        bytes_fetched=3,
        activated_at=NOW,
    )


def checked_in(sequence: int) -> RobotCheckedIn:
    return RobotCheckedIn(
        robot_id=RobotId("r1"), boot_id=BootId("b1"), sequence=sequence, checked_in_at=NOW
    )


def facts_in(journal: Journal) -> list[Event]:
    return [unsent.event for unsent in journal.unsent()]


def test_facts_go_out_in_the_order_they_happened(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    for generation in (1, 2, 3):
        journal.write({}, [activated(generation)])
    assert facts_in(journal) == [activated(1), activated(2), activated(3)]


def test_a_fact_keeps_its_random_id_until_it_is_acknowledged(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.write({}, [activated(1), activated(1)], "00-trace")
    journal.close()
    first, second = Journal(tmp_path / "journal.db").unsent()
    again = Journal(tmp_path / "journal.db").unsent()
    assert (first.message_id, second.message_id) == tuple(one.message_id for one in again)
    assert first.message_id != second.message_id
    assert len(first.message_id) == 32
    assert first.traceparent == "00-trace"


def test_an_acknowledged_fact_is_gone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.write({}, [activated(1), activated(2)])
    journal.sent(journal.unsent()[0])
    assert facts_in(journal) == [activated(2)]


def test_a_week_offline_keeps_one_check_in_and_every_other_fact(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.write({}, [activated(1)])
    for sequence in range(50):
        journal.write({}, [checked_in(sequence)])
    assert facts_in(journal) == [activated(1), checked_in(49)]


_WRITER = """
import sys
from pathlib import Path
from edge_bridge.converging.converge import Memory
from edge_bridge.journal import Journal
from tests.unit.edge_bridge_bus.test_journal import activated

journal = Journal(Path(sys.argv[1]))
for count in range(1, 100_000):
    journal.write({None: Memory(bytes_fetched=count)}, [activated(count)])
    print(count, flush=True)
"""


def test_kill_9_never_separates_what_is_remembered_from_what_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    root = Path(__file__).parents[3]
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, cwd=root
        ) as writer:
            assert writer.stdout
            announced = [writer.stdout.readline() for _ in range(40)]
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        journal = Journal(path)
        facts = [unsent.event for unsent in journal.unsent(limit=100_000)]
        last = facts[-1]
        assert isinstance(last, ModelActivated)
        assert journal.memory().bytes_fetched == last.generation
        assert last.generation >= int(announced[-1])
        journal.close()


def test_a_new_robot_remembers_nothing(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal.db").memory() == Memory()


def test_facts_that_only_another_release_knows_wait_for_it_and_hold_up_nothing(
    tmp_path: Path,
) -> None:
    """After a fallback the release before reads the journal that the later one wrote."""
    path = tmp_path / "journal.db"
    later = Journal(path)
    for generation in (1, 2, 3):
        later.write({}, [activated(generation)])
    first, second, third = later.unsent()
    later.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE outbox SET kind = 'RobotDreamt' WHERE place = ?", (first.place,))
        database.execute("UPDATE outbox SET body = x'c1' WHERE place = ?", (second.place,))
    database.close()

    before = Journal(path)
    assert facts_in(before) == [activated(3)]
    before.sent(third)
    assert facts_in(before) == []
    before.close()
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE unknown SET kind = 'ModelActivated' WHERE place = ?", (first.place,)
        )
    database.close()
    (again,) = Journal(path).unsent()
    assert (again.event, again.message_id) == (activated(1), first.message_id)
