"""Which running system a program means when it does not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fleetward.client.access import CONNECTION_FILE, DEFAULT_HOME, nearest_home, read_access
from fleetward.client.errors import NoSystemError

SOMEBODY_ELSE = os.getuid() + 1


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """A directory deep in a project whose system runs, with a home that does not on the way."""
    running = tmp_path / "project" / DEFAULT_HOME
    stopped = tmp_path / "project" / "robots" / DEFAULT_HOME
    start = stopped.parent / "arm"
    for directory in (running, stopped, start):
        directory.mkdir(parents=True)
    (running / CONNECTION_FILE).touch()
    return start


def test_the_default_home_is_found_above_the_current_directory(below: Path) -> None:
    project = below.parents[1]
    assert nearest_home(DEFAULT_HOME, start=below) == project / DEFAULT_HOME
    assert nearest_home(DEFAULT_HOME, start=project) == project / DEFAULT_HOME


def test_a_home_that_was_named_is_not_looked_for_elsewhere(below: Path) -> None:
    assert nearest_home(Path("state"), start=below) == Path("state")


def test_a_home_above_that_belongs_to_somebody_else_is_passed_over(below: Path) -> None:
    project = below.parents[1]
    assert nearest_home(DEFAULT_HOME, start=below, user_id=SOMEBODY_ELSE) == DEFAULT_HOME
    here = nearest_home(DEFAULT_HOME, start=project, user_id=SOMEBODY_ELSE)
    assert here == project / DEFAULT_HOME


def test_where_it_was_looked_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FLEETWARD_NATS_URL", raising=False)
    with pytest.raises(NoSystemError, match=f"no .fleetward/connection.json in {tmp_path} nor"):
        read_access(DEFAULT_HOME)
