"""A machine is enrolled with extras of the bridge, again with the same, and with others.

The tests of this file follow each other: each finds the machine as the one before left it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import distributions

import pytest
from packaging.utils import canonicalize_name

from fleetward.cli.exits import Exit
from fleetward.enrolment.layout import UNIT
from fleetward.local.ports import free_port
from tests.integration.enrolment.machines import NAME, Machines, machines

VIEWER, PARSER = "foxglove-sdk", "promql-parser"
"""What the extras ``foxglove`` and ``rules`` bring."""


@pytest.fixture(scope="module")
def live() -> list[str]:
    """A setting that asks for the extra ``foxglove``."""
    return ["--setting", f"FLEETWARD_FOXGLOVE={free_port()}"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, live: list[str]) -> Iterator[Machines]:
    """Enrolled with one extra that is named and one that a setting asks for."""
    with machines(tmp_path_factory.mktemp("machines"), ["foxglove", "rules"]) as running:
        first = ["--name", NAME, "--trust-first-use", "--extra", "rules", *live]
        code, result = running.enrol(*first)
        assert code == Exit.OK, result["reason"]
        assert any(", with foxglove, rules, into" in change for change in result["changes"])
        yield running


def installed(made: Machines) -> set[str]:
    """Every distribution that the bridge may load."""
    (packages,) = made.path("opt/fleetward/current/lib").glob("python3.*/site-packages")
    found = distributions(path=[str(packages)])
    return {canonicalize_name(held.metadata["Name"]) for held in found}


def test_an_extra_that_is_named_or_that_a_setting_asks_for_is_installed(made: Machines) -> None:
    assert {VIEWER, PARSER} <= installed(made)
    assert made.pid() > 0


@pytest.mark.parametrize("named", [["--extra", "rules"], []])
def test_the_same_extras_again_or_none_named_change_nothing(
    made: Machines, live: list[str], named: list[str]
) -> None:
    before, pid = made.tree(), made.pid()

    code, again = made.enrol(*named, *live)

    assert (code, again["result"], again["changes"]) == (Exit.OK, "unchanged", []), again["reason"]
    assert (made.tree(), made.pid()) == (before, pid)


def test_an_extra_that_there_is_no_wheel_for_is_refused_by_name_and_nothing_is_changed(
    made: Machines, live: list[str]
) -> None:
    before = made.tree()

    code, refused = made.enrol("--extra", "video", *live)

    assert code == Exit.FAILED
    assert "The extra video of edge-bridge cannot be had there" in refused["reason"]
    assert "no wheel of av>=14 for Python" in refused["reason"]
    assert made.tree() == before


def test_other_extras_change_exactly_that_as_the_dry_run_said(
    made: Machines, live: list[str]
) -> None:
    started, link = made.path("etc/fleetward/started"), made.path("opt/fleetward/current")
    before, asked = made.tree(), ["--extra", "none", *live]

    planned = made.enrol(*asked, "--dry-run")[1]
    assert made.tree() == before
    code, changed = made.enrol(*asked)

    assert code == Exit.OK, changed["reason"]
    assert changed["changes"] == planned["changes"]
    told = [change.partition(" wheels, with")[0] for change in changed["changes"]]
    wheels = sum(canonicalize_name(path.split("/")[-1]).endswith("-whl") for path in before)
    assert told[:5] == [
        f"remove {started}",
        f"write {made.path('opt/fleetward/extras')} (644, {made.server.login})",
        f"install {wheels - 2}",
        f"point {link} at {link.resolve()}",
        f"restart {UNIT}",
    ]
    assert [change.split()[0] for change in told[5:]] == ["write", "hear", *3 * ["remove"]]
    assert VIEWER in installed(made)
    assert PARSER not in installed(made)
