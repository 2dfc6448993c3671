"""Files are followed through renaming, truncation, removal and restarts; each line is read once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from msgspec.structs import replace

from edge_bridge.logs.files import Files
from edge_bridge.logs.following import Position
from edge_bridge.logs.limits import LogSettings

BOUNDS = LogSettings(rotated_s=5.0, gather_s=0.0)
EVERY_NAME = "*.log*"
"""Turned ones too: a file may get its other name before anybody looks."""


class Reader:
    """What a collector reads of ``*.log``; by its own clock, which ``look`` moves on."""

    made: ClassVar[list[Reader]] = []

    def __init__(
        self,
        directory: Path,
        positions: list[Position] | None,
        bounds: LogSettings = BOUNDS,
        pattern: str = "*.log",
    ) -> None:
        self.limits = replace(bounds, files=(f"{directory}/{pattern}",))
        self.refused: list[tuple[str, str]] = []
        self.lines: list[str] = []
        self.now_s = 100.0
        self.files = Files(
            self.limits, positions, lambda reason, path: self.refused.append((reason, path))
        )
        self.made.append(self)

    def look(self, after_s: float = 1.0) -> list[str]:
        """All that is new."""
        self.now_s += after_s
        for left in self.files.scan(self.now_s):
            self._take(left.stream.end())
            left.close()
        new = True
        while new:
            new = False
            for file in self.files.every():
                content, anew = file.read(self.now_s)
                if anew:
                    self._take(file.stream.end())
                self._take([*file.stream.feed(content, self.now_s), *file.stream.rest(self.now_s)])
                new = new or bool(content)
        lines, self.lines = self.lines, []
        return lines

    def _take(self, records: list[bytes]) -> None:
        self.lines += [record.decode() for record in records]


@pytest.fixture(autouse=True)
def _readers_end() -> Iterator[None]:
    """As the process of a collector does: what it followed is let go of."""
    yield
    while Reader.made:
        for file in Reader.made.pop().files.every():
            file.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a.log"


def add(path: Path, *lines: str) -> None:
    with path.open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def test_lines_are_read_as_they_come(log: Path) -> None:
    reader = Reader(log.parent, [])
    assert reader.look() == []
    add(log, "one")
    assert reader.look() == ["one"]
    with log.open("a") as file:
        file.write("tw")
    assert reader.look() == []
    add(log, "o", "three")
    assert reader.look() == ["two", "three"]


def test_renamed_file_is_read_to_its_end_beside_the_new_one(log: Path) -> None:
    reader = Reader(log.parent, [])
    add(log, "one")
    reader.look()
    old = log.rename(log.with_name("a.log.1"))
    add(old, "two")
    add(log, "three")
    assert sorted(reader.look()) == ["three", "two"]
    add(old, "late")
    assert reader.look() == ["late"]
    reader.look(after_s=5.0)
    assert [file.path for file in reader.files.every()] == [log]


def test_removed_file_is_let_go(log: Path) -> None:
    reader = Reader(log.parent, [])
    add(log, "one")
    reader.look()
    log.unlink()
    reader.look(after_s=6.0)
    assert reader.files.every() == []


def test_truncated_file_is_read_from_its_start(log: Path) -> None:
    reader = Reader(log.parent, [])
    add(log, "one", "two")
    reader.look()
    log.write_text("new\n")
    assert reader.look() == ["new"]


def test_truncated_file_that_is_longer_again_is_read_from_its_start(log: Path) -> None:
    reader = Reader(log.parent, [])
    add(log, "one")
    reader.look()
    log.write_text("other\nlines than before\n")
    assert reader.look() == ["other", "lines than before"]


def test_next_collector_goes_on_where_the_last_one_was(log: Path) -> None:
    first = Reader(log.parent, [])
    add(log, "one")
    with log.open("a") as file:
        file.write("half")
    assert first.look() == ["one"]
    add(log, " a line", "two")
    assert Reader(log.parent, first.files.positions()).look() == ["half a line", "two"]


def test_what_was_turned_while_nobody_looked_is_found(log: Path) -> None:
    first = Reader(log.parent, [])
    add(log, "one")
    first.look()
    add(log, "two")
    log.rename(log.with_name("a.log.1"))
    add(log, "three")
    assert sorted(Reader(log.parent, first.files.positions()).look()) == ["three", "two"]


def test_other_file_with_the_same_inode_is_read_from_its_start(log: Path) -> None:
    first = Reader(log.parent, [])
    add(log, "one")
    first.look()
    log.write_text("other lines, and more of them\n")
    second = Reader(log.parent, first.files.positions())
    assert second.look() == ["other lines, and more of them"]


def test_first_collector_ever_reads_only_the_end_of_what_was_there(log: Path) -> None:
    add(log, *(f"old {number:04}" for number in range(1000)))
    reader = Reader(log.parent, None, replace(BOUNDS, backlog_bytes=100))
    assert reader.look() == [f"old {number:04}" for number in range(989, 1000)]
    add(log.with_name("b.log"), "new file")
    assert reader.look() == ["new file"]


def test_files_that_were_written_last_are_followed(log: Path) -> None:
    reader = Reader(log.parent, [], replace(BOUNDS, followed_files=3))
    for number in range(6):
        add(log.with_name(f"{number}.log"), f"{number}")
        reader.look()
    reader.look(after_s=6.0)
    assert sorted(file.path.name for file in reader.files.every()) == ["3.log", "4.log", "5.log"]
    add(log.with_name("0.log"), "again")
    assert reader.look() == ["again"]


def test_what_is_no_file_or_not_to_be_read_is_refused_once(log: Path) -> None:
    log.symlink_to(log.with_name("loop.log"))
    log.with_name("loop.log").symlink_to(log)
    log.with_name("d.log").mkdir()
    reader = Reader(log.parent, [])
    assert reader.look() == reader.look() == []
    assert len(reader.refused) <= 1


@pytest.mark.parametrize("seed", range(10))
def test_each_line_is_read_once_whatever_happens_to_its_file(log: Path, seed: int) -> None:
    chance = random.Random(seed)
    reader = Reader(log.parent, [], pattern=EVERY_NAME)
    told, seen, turned = 0, list[str](), 0
    for _ in range(60):
        lines = [f"line {told + each}" for each in range(chance.randint(0, 5))]
        told += len(lines)
        add(log, *lines)
        match chance.randint(0, 5):
            case 0:
                turned += 1
                log.rename(log.with_name(f"a.log.{turned}"))
            case 1:
                reader = Reader(log.parent, reader.files.positions(), pattern=EVERY_NAME)
            case 2 | 3:
                seen += reader.look()
    seen += reader.look()
    assert sorted(seen) == sorted(f"line {number}" for number in range(told))


def test_a_link_leads_only_to_what_everybody_may_read(tmp_path: Path) -> None:
    """Whoever may write where logs are followed could else have the robot's key shipped."""
    logs, secrets = tmp_path / "logs", tmp_path / "secrets"
    logs.mkdir()
    secrets.mkdir()
    for name, mode in (("key", 0o600), ("grouped", 0o640), ("open", 0o644)):
        (secrets / name).write_text(f"{name}\n")
        (secrets / name).chmod(mode)
        (logs / f"{name}.log").symlink_to(secrets / name)
    (logs / "nested").symlink_to(secrets)
    own = logs / "own.log"
    own.write_text("own\n")
    own.chmod(0o600)
    reader = Reader(logs, [])
    assert sorted(reader.look()) == ["open", "own"]
    assert sorted(Path(path).name for _, path in reader.refused) == ["grouped.log", "key.log"]
    deep = Reader(logs, [], pattern="nested/*")
    assert deep.look() == ["open"]
