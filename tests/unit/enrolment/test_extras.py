"""Which extras of the bridge a robot has: those that are named, else those it has, and what it needs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.releases.extras import wanted_extras
from tests.unit.enrolment.model_machine import LAYOUT, WANTED, Machine
from tests.unit.enrolment.test_plan import steps


def test_extras_that_were_asked_for_are_remembered_and_others_change_only_that() -> None:
    rules = replace(WANTED, extras=("rules",))
    machine = Machine()
    machine.do(steps(machine, rules))
    assert machine.found.extras == ("rules",)
    assert steps(machine, rules) == []

    other = steps(machine, replace(WANTED, extras=("mcap", "rules")))
    assert list(map(str, other)) == [f"write {LAYOUT.extras} (644, root)"], "no wheel differs"
    assert list(map(str, steps(machine))) == [f"remove {LAYOUT.extras}"]
    assert machine.do(steps(machine)).found.extras == ()


@pytest.mark.parametrize(
    ("named", "settings", "wanted"),
    [
        (None, {}, ("mcap",)),
        (None, {"FLEETWARD_RULES": "shipped"}, ("mcap", "rules")),
        (("video",), {"FLEETWARD_FOXGLOVE": "8765"}, ("foxglove", "video")),
        ((), {}, ()),
        ((), {"FLEETWARD_PIPELINE_SPEECH_RECORDING": "drive.mcap"}, ("mcap",)),
        ((), {"FLEETWARD_RECORDING_TOPIC": "/camera", "FLEETWARD_FOXGLOVE": ""}, ()),
        ((), {"FLEETWARD_BACKEND": "tensorrt"}, ("tensorrt",)),
        (None, {"FLEETWARD_RULES": "none"}, ("mcap",)),
    ],
)
def test_a_robot_keeps_its_extras_until_others_are_named_and_has_what_its_settings_ask_for(
    named: tuple[str, ...] | None, settings: dict[str, str], wanted: tuple[str, ...]
) -> None:
    assert wanted_extras(named, ("mcap",), settings) == wanted
