"""Which runtime serves, and how its engines are built, is set per robot; what cannot be is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_bridge.settings import Settings, settings_from
from edge_bridge.state_dir import with_whole_paths
from fleetward.bus.environment import SettingsError
from fleetward.contracts.ids import RobotId

NEEDED = {
    "FLEETWARD_STATE_DIR": "state",
    "FLEETWARD_ROBOT_ID": "robot-1",
    "FLEETWARD_NATS_URL": "nats://127.0.0.1:4222",
    "FLEETWARD_CREDENTIALS": "robot.creds",
    "FLEETWARD_TRUST_DIR": "trust",
}


def told(**variables: str) -> Settings:
    return settings_from({**NEEDED, **variables})


def test_a_robot_that_is_told_nothing_takes_the_best_that_is_here_and_keeps_engines() -> None:
    slots = with_whole_paths(told()).slots
    assert (slots.backend, slots.engines.dla_core) == ("auto", None)
    assert slots.engines.directory == str(Path("state/engines").absolute())


def test_a_robot_builds_as_it_is_told() -> None:
    slots = told(
        FLEETWARD_BACKEND="tensorrt",
        FLEETWARD_TENSORRT_DLA_CORE="0",
        FLEETWARD_TENSORRT_WORKSPACE_MIB="512",
        FLEETWARD_TENSORRT_OPTIMIZATION_LEVEL="5",
        FLEETWARD_TENSORRT_BUILD_LIMIT_S="60",
    ).slots
    engines = slots.engines
    assert (slots.backend, engines.dla_core, engines.optimization_level) == ("tensorrt", 0, 5)
    assert (engines.workspace_bytes, engines.build_limit_s) == (512 * 1024**2, 60.0)


def test_a_robot_shares_engines_only_where_it_has_the_twins_key() -> None:
    assert told().slots.engines.twins is None
    twins = told(
        FLEETWARD_TENSORRT_TWINS_KEY="twins.key",
        FLEETWARD_TENSORRT_TWINS_BUILDERS="canary-1, canary-2",
    ).slots.engines.twins
    assert twins is not None
    assert twins.key == str(Path("twins.key").absolute())
    assert [twins.trusts(RobotId(each)) for each in ("canary-2", "arm-7")] == [True, False]
    offers_only = told(FLEETWARD_TENSORRT_TWINS_KEY="twins.key").slots.engines.twins
    assert offers_only is not None
    assert not offers_only.trusts(RobotId("canary-1"))


def test_builders_without_the_key_that_proves_them_are_refused() -> None:
    with pytest.raises(SettingsError, match="FLEETWARD_TENSORRT_TWINS_KEY"):
        told(FLEETWARD_TENSORRT_TWINS_BUILDERS="*")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FLEETWARD_BACKEND", "tensort"),
        ("FLEETWARD_TENSORRT_DLA_CORE", "2"),
        ("FLEETWARD_TENSORRT_OPTIMIZATION_LEVEL", "6"),
        ("FLEETWARD_TENSORRT_WORKSPACE_MIB", "-1"),
    ],
)
def test_what_is_not_known_is_refused_by_its_name(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=name):
        told(**{name: text})
