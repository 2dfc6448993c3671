"""A published release is installed under its name, and on robots alone that it is for."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import Digest, ModelRef, Version
from fleetward.enrolment.errors import WheelMissingError
from fleetward.enrolment.published import Published, refuse_other_machine
from fleetward.enrolment.scripts import script_of
from fleetward.enrolment.steps import Install, PointLink
from fleetward.releases.archive import ReleaseLock
from fleetward.releases.identity import Identity, written
from tests.unit.enrolment.model_machine import BARE, WANTED, Machine
from tests.unit.enrolment.test_plan import enrolled, steps

FIRST = Identity(model=ModelRef(BRIDGE_MODEL, Version("1.0")), digest=Digest("sha256:" + 64 * "a"))
LOCK = ReleaseLock(
    version="1.0", python="3.10", arch="aarch64", glibc="2.35", wheels=(), extras=("rules",)
)
NAMED = replace(WANTED, identity=FIRST)


def test_the_name_of_a_release_is_written_into_its_environment() -> None:
    (install,) = (step for step in steps(Machine(), NAMED) if isinstance(step, Install))
    script = script_of(install)
    assert f"printf %s '{written(FIRST)}' >{install.release}/identity.json" in script
    assert script.index("identity.json") < script.index("sync -f") < script.index("/complete")


def test_the_same_wheels_under_another_name_are_installed_anew_and_then_no_more() -> None:
    machine = enrolled()
    again = steps(machine, NAMED)
    assert [type(step) for step in again if isinstance(step, (Install, PointLink))] == [
        Install,
        PointLink,
    ]
    assert steps(machine.do(again), NAMED) == []


@pytest.mark.parametrize(
    ("changes", "settings", "reason"),
    [
        ({"arch": "x86_64"}, {}, "is for Python 3.10, aarch64"),
        ({"python": (3, 12)}, {}, "this robot has Python 3.12"),
        ({"glibc": (2, 31)}, {}, "glibc 2.31. Name a release for such robots"),
        ({}, {"FLEETWARD_FOXGLOVE": "8765"}, "bridge push --extra foxglove"),
    ],
)
def test_a_release_for_other_robots_or_settings_is_refused(
    changes: dict[str, object], settings: dict[str, str], reason: str
) -> None:
    published = Published(identity=FIRST, lock=LOCK)
    refuse_other_machine(published, BARE, {"FLEETWARD_RULES": "shipped"})
    with pytest.raises(WheelMissingError, match=reason):
        refuse_other_machine(published, replace(BARE, **changes), settings)
