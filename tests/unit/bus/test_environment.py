"""A process that was told too little, or nonsense, says which variable it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleetward.bus.environment import Environment, SettingsError

NAME = "FLEETWARD_POLL_S"


@pytest.mark.parametrize("variables", [{}, {NAME: ""}])
def test_needed_variable_that_is_not_set_is_named(variables: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=f"{NAME} is not set"):
        Environment(variables).text(NAME)


def test_empty_variable_leaves_the_default() -> None:
    environment = Environment({NAME: ""})
    assert environment.text(NAME, "five") == "five"
    assert environment.number(NAME, 5.0) == 5.0
    assert environment.optional_path(NAME) is None


@pytest.mark.parametrize("text", ["five", "0", "-1", "nan", "inf", "1e9"])
def test_number_that_cannot_be_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match=NAME):
        Environment({NAME: text}).number(NAME, 5.0)


def test_bus_is_where_the_variables_say_and_who_the_caller_is() -> None:
    told = {"FLEETWARD_NATS_URL": "nats://hub:4222", "FLEETWARD_CREDENTIALS": "/run/a.creds"}
    bus = Environment(told).bus("alerting")
    assert (bus.url, bus.credentials, bus.name) == (
        "nats://hub:4222",
        Path("/run/a.creds"),
        "alerting",
    )
