"""What the robot's program, or a file in its place, says decides whether a robot may swap now."""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.converging.swap_gate import SwapGate, boot_time_s
from edge_bridge.facts import MAX_FACTS, MAX_FILE_BYTES, MAX_TOLD, Facts
from edge_bridge.hub_clock import HubClock, Sample
from fleetward.contracts.interlocks import InterlockError
from fleetward.contracts.robots import RobotTarget
from tests.unit.edge_bridge_bus.test_converge import target

HUB_AHEAD = timedelta(days=400)


def hub_clock() -> HubClock:
    """As heard this instant from a hub whose clock is far from ours."""
    hub_at, now_s = datetime.now(timezone.utc) + HUB_AHEAD, boot_time_s()
    return HubClock(samples=(Sample(hub_at=hub_at, asked_s=now_s, answered_s=now_s),))


def gate(facts: Facts, clock: HubClock | None = None) -> SwapGate:
    heard = hub_clock() if clock is None else clock
    return SwapGate(lambda: heard, facts)


def at(seconds: float, *interlocks: str) -> RobotTarget:
    """A target for so many seconds from now, by the hub's clock."""
    instant = datetime.now(timezone.utc) + HUB_AHEAD + timedelta(seconds=seconds)
    return replace(target("b", 5), switch_at=instant, interlocks=interlocks)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "facts.json"


@pytest.fixture
def facts(path: Path) -> Facts:
    return Facts(path, max_age_s=60.0)


def test_the_instant_is_one_of_the_hubs_clock_not_of_the_robots(facts: Facts) -> None:
    assert not gate(facts).is_open(at(60))
    assert gate(facts).is_open(at(-0.001))
    assert gate(facts).held_back(at(60)) == ""


def test_who_never_heard_the_hubs_clock_does_not_swap_and_says_so(facts: Facts) -> None:
    unheard = gate(facts, HubClock())
    assert not unheard.is_open(at(-60))
    assert "does not know the hub's time" in unheard.held_back(at(-60))
    assert unheard.is_open(target("b", 5)), "a target without an instant needs no clock"


def test_the_offset_is_what_the_two_clocks_differ_by(facts: Facts) -> None:
    offset_s = gate(facts).clock_offset_s()
    assert offset_s is not None
    assert abs(offset_s - HUB_AHEAD.total_seconds()) < 1.0
    assert gate(facts, HubClock()).clock_offset_s() is None


def test_how_late_a_swap_is_counts_from_the_agreed_instant(facts: Facts) -> None:
    late_s = gate(facts).late_s(at(-7))
    assert late_s is not None
    assert 7 <= late_s < 8
    assert gate(facts).late_s(target("b", 5)) is None


def test_an_interlock_is_asked_anew_each_time(facts: Facts) -> None:
    guarded, opening = at(-1, "docked", "battery>=0.3"), gate(facts)
    assert not opening.is_open(guarded)
    facts.report("docked", True)
    facts.report("battery", 0.5)
    assert opening.is_open(guarded)
    facts.report("battery", 0.2)
    assert not opening.is_open(guarded)
    assert opening.held_back(guarded) == "battery>=0.3: battery is 0.2"


def test_a_program_that_stops_reporting_holds_its_robot_back() -> None:
    forgetful = Facts(None, max_age_s=0.0)
    forgetful.report("docked", True)
    assert "is 0.0 s old" in gate(forgetful).held_back(at(-1, "docked"))


def test_a_file_stands_in_for_the_program(facts: Facts, path: Path) -> None:
    guarded, opening = at(-1, "docked", "battery>=0.3"), gate(facts)
    path.write_text('{"docked": true, "battery": 0.8}')
    assert opening.is_open(guarded)
    path.write_text('{"docked": false, "battery": 0.8}')
    assert not opening.is_open(guarded)
    path.unlink()
    assert "nobody reported docked" in opening.held_back(guarded)


@pytest.mark.parametrize("off_s", [-61.0, 3600.0])
def test_a_file_that_is_old_or_from_the_future_does_not_hold(
    facts: Facts, path: Path, off_s: float
) -> None:
    path.write_text('{"docked": true}')
    written_s = time.time() + off_s
    os.utime(path, (written_s, written_s))
    assert not gate(facts).is_open(at(-1, "docked"))


@pytest.mark.parametrize(
    "content", ["", "{", '["docked"]', '{"docked": "yes"}', '{"docked": true, "arm": {}}']
)
def test_a_file_that_is_no_object_of_facts_says_nothing(
    facts: Facts, path: Path, content: str
) -> None:
    path.write_text(content)
    assert not gate(facts).is_open(at(-1, "docked"))


def test_a_file_that_is_too_large_says_nothing(facts: Facts, path: Path) -> None:
    path.write_text('{"docked": true}' + " " * MAX_FILE_BYTES)
    assert not gate(facts).is_open(at(-1, "docked"))


def test_the_newer_word_counts_when_program_and_file_differ(facts: Facts, path: Path) -> None:
    facts.report("docked", True)
    path.write_text('{"docked": false}')
    written_s = time.time() - 30
    os.utime(path, (written_s, written_s))
    assert gate(facts).is_open(at(-1, "docked"))


def test_a_fact_without_a_usable_name_is_refused_and_there_are_not_too_many(facts: Facts) -> None:
    with pytest.raises(InterlockError):
        facts.report("Docked!", True)
    for number in range(MAX_FACTS + 5):
        facts.report(f"f{number}", True)
    assert gate(facts).is_open(at(-1, f"f{MAX_FACTS - 1}"))
    assert not gate(facts).is_open(at(-1, f"f{MAX_FACTS + 4}"))


def supply(directory: Path, name: str, kind: str, capacity: str | None) -> None:
    (directory / name).mkdir(parents=True)
    (directory / name / "type").write_text(f"{kind}\n")
    if capacity is not None:
        (directory / name / "capacity").write_text(f"{capacity}\n")


def test_the_emptiest_battery_counts_where_nobody_else_speaks_of_one(tmp_path: Path) -> None:
    guarded = at(-1, "battery>=0.3")
    for name, kind, capacity in (
        ("AC", "Mains", None),
        ("BAT0", "Battery", "80"),
        ("BAT1", "Battery", "25"),
    ):
        supply(tmp_path, name, kind, capacity)
    facts = Facts(None, 60.0, power_supplies=tmp_path)
    assert gate(facts).held_back(guarded) == "battery>=0.3: battery is 0.25"
    facts.report("battery", 0.9)
    assert gate(facts).is_open(guarded)


@pytest.mark.parametrize("capacity", [None, "5"])
def test_the_battery_of_a_gamepad_is_not_the_robots(tmp_path: Path, capacity: str | None) -> None:
    for name, scope, charge in (("BAT0", "System", "80"), ("hid-gamepad", "Device", capacity)):
        supply(tmp_path, name, "Battery", charge)
        (tmp_path / name / "scope").write_text(f"{scope}\n")
    assert Facts(None, 60.0, power_supplies=tmp_path).told() == {"battery": 0.8}


@pytest.mark.parametrize("capacity", [None, "", "full"])
def test_a_battery_that_cannot_be_read_is_unknown(tmp_path: Path, capacity: str | None) -> None:
    supply(tmp_path, "BAT0", "Battery", capacity)
    unread = gate(Facts(None, 60.0, power_supplies=tmp_path))
    assert "nobody reported battery" in unread.held_back(at(-1, "battery>=0.3"))
    nowhere = gate(Facts(None, 60.0, power_supplies=tmp_path / "nowhere"))
    assert not nowhere.is_open(at(-1, "battery>=0.3"))


def test_what_is_fresh_is_told_for_selectors_and_what_no_selector_could_name_is_not(
    facts: Facts, path: Path
) -> None:
    path.write_text('{"docked": true, "Not A Name": 1, "battery": 0.5}')
    facts.report("battery", 0.75)
    assert facts.told() == {"battery": 0.75, "docked": True}
    assert Facts(path, max_age_s=-1.0).told() == {}
    many = Facts(None, 60.0)
    for number in range(MAX_TOLD + 5):
        many.report(f"fact-{number:03}", 1.0)
    assert len(many.told()) == MAX_TOLD
