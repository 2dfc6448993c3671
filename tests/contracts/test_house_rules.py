"""The house rules hold: what decides is pure, nothing is too long, every package is shipped."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from tools import pure_rule, size_rule
from tools.sources import ROOT

DECISION = Path("services/rollout_coordinator/advance.py")
DISTRIBUTIONS = sorted(path.parent for path in ROOT.glob("*/*/pyproject.toml"))


def impurities(source: str) -> list[str]:
    return [str(finding) for finding in pure_rule.findings(DECISION, ast.parse(source))]


@pytest.mark.parametrize(
    "source",
    [
        "import time",
        "import os.path",
        "from random import random",
        "def f():\n    import socket",
        "from nats.aio.client import Client",
        "async def decide(): ...",
        "now = datetime.now(timezone.utc)",
        "text = open('rules.yaml').read()",
    ],
)
def test_a_decision_that_acts_is_refused(source: str) -> None:
    assert impurities(source)


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime",
        "import math, enum, dataclasses",
        "if TYPE_CHECKING:\n    import asyncio",
        "from fleetward.contracts.ids import RobotId",
    ],
)
def test_a_decision_may_compute_and_name_types(source: str) -> None:
    assert impurities(source) == []


def test_purity_reaches_what_a_decision_imports(tmp_path: Path) -> None:
    package = tmp_path / "services" / "rollout_coordinator"
    package.mkdir(parents=True)
    (package / "advance.py").write_text("from rollout_coordinator.cohorts import cohort_of\n")
    (package / "cohorts.py").write_text("from rollout_coordinator import shuffle\n")
    (package / "shuffle.py").write_text("import random\n")
    (package / "handlers.py").write_text("import asyncio\n")
    reached = pure_rule.pure_modules(tmp_path)
    assert {path.name for path in reached.values()} == {"advance.py", "cohorts.py", "shuffle.py"}


def test_purity_reaches_the_contracts() -> None:
    assert "fleetward.contracts.catalog" in pure_rule.pure_modules(ROOT)


def test_decisions_of_this_repository_are_pure(capsys: pytest.CaptureFixture[str]) -> None:
    assert pure_rule.main() == 0, capsys.readouterr().err


def function_of(lines: int, docstring_lines: int = 0) -> str:
    docstring = (
        ['    """Promise.', *["    more"] * docstring_lines, '    """'] if docstring_lines else []
    )
    return "\n".join(["def f() -> None:", *docstring, *["    g()"] * (lines - 1)]) + "\n"


@pytest.mark.parametrize(
    ("source", "is_too_long"),
    [
        (function_of(40), False),
        (function_of(41), True),
        (function_of(40, docstring_lines=30), False),
        ("x = 1\n" * 300, False),
        ("x = 1\n" * 301, True),
    ],
)
def test_the_limits_are_three_hundred_and_forty_lines(source: str, is_too_long: bool) -> None:
    assert bool(list(size_rule.findings(DECISION, source))) is is_too_long


def test_sizes_of_this_repository_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert size_rule.main() == 0, capsys.readouterr().err


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_every_package_folder_is_listed_for_shipping(folder: Path) -> None:
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))
    found = {
        ".".join((folder.name, *init.parent.relative_to(folder).parts))
        for init in folder.rglob("__init__.py")
        if not {"build", "dist"} & set(init.parts)
    }
    assert set(project["tool"]["setuptools"]["packages"]) == found


def test_the_lock_has_a_hash_for_everything_and_names_no_host() -> None:
    for lock in (
        ROOT / "requirements.lock",
        ROOT / "tools" / "ros2.lock",
        ROOT / "tools" / "uv.lock",
    ):
        text = lock.read_text("utf-8")
        entries = [entry for entry in text.replace("\\\n", " ").splitlines() if entry.strip()]
        assert entries
        assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)
        assert "://" not in text
