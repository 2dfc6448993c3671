"""What a process is told in its environment: needed, optional, or wrong and then named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fleetward.bus.connection import BusSettings
from fleetward.contracts.errors import FleetwardError

MAX_NUMBER = 1e9


class SettingsError(FleetwardError):
    """A variable is missing, or cannot be what it says; the message names it."""


class Environment:
    """FLEETWARD_ variables, each checked as it is read; an empty one counts as not set."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def text(self, name: str, default: str = "") -> str:
        """A variable's text, ``default`` when it is not set; without either, SettingsError."""
        text = self._variables.get(name) or default
        if not text:
            raise SettingsError(f"{name} is not set. Set it, or let `fleetward up` start this.")
        return text

    def path(self, name: str) -> Path:
        """A path that must be set; raises SettingsError."""
        return Path(self.text(name))

    def optional_path(self, name: str) -> Path | None:
        """A path, or None when it is not set."""
        text = self._variables.get(name)
        return Path(text) if text else None

    def optional_text(self, name: str) -> str | None:
        """A text, or None when it is not set."""
        return self._variables.get(name) or None

    def optional_number(self, name: str) -> float | None:
        """A number as ``number`` takes it, or None when it is not set; raises SettingsError."""
        return self.number(name, 0.0) if self._variables.get(name) else None

    def number(self, name: str, default: float) -> float:
        """A number above 0 and below MAX_NUMBER; raises SettingsError."""
        text = self._variables.get(name)
        try:
            number = float(text) if text else default
        except ValueError as error:
            raise SettingsError(f"{name}={text!r} is not a number. Correct it.") from error
        if not 0 < number < MAX_NUMBER:
            raise SettingsError(f"{name}={text!r} must be above 0 and below {MAX_NUMBER:g}.")
        return number

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of ``choices``, ``default`` when it is not set; raises SettingsError."""
        text = self._variables.get(name) or default
        if text not in choices:
            known = ", ".join(each for each in choices if each)
            raise SettingsError(f"{name}={text!r} is not known. Use one of {known}.")
        return text

    def bus(self, name: str) -> BusSettings:
        """Where the bus is, for the principal or robot ``name``; raises SettingsError."""
        return BusSettings(
            url=self.text("FLEETWARD_NATS_URL"),
            credentials=self.path("FLEETWARD_CREDENTIALS"),
            name=name,
        )
