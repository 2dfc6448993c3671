"""Which rules a robot judges itself by, and under which labels."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from msgspec import Struct

from fleetward.bus.environment import Environment, SettingsError

SHIPPED = "shipped"
"""As a path: the rules that Fleetward ships with."""
MAX_LABELS = 64
_LABEL = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*([^=]*?)\s*")


class RuleSettings(Struct, frozen=True, kw_only=True):
    """path: a rule file, or a directory of them. labels: the robot's, as it was enrolled with them.

    lookback_s: how old an instant selector's sample may be; as the hub's.
    """

    path: Path
    labels: dict[str, str] = {}
    lookback_s: float = 300.0


def rule_settings(environment: Environment) -> RuleSettings | None:
    """``/etc/fleetward/rules``, or ``shipped``; ``site=berlin,hw=orin-nx``. None: none. Raises SettingsError."""
    path = environment.optional_text("FLEETWARD_RULES")
    if path is None:
        return None
    labels = environment.optional_text("FLEETWARD_LABELS") or ""
    found = Path(str(files("fleetward.rules") / "shipped_rules")) if path == SHIPPED else Path(path)
    given = [each for each in labels.split(",") if each.strip()]
    return RuleSettings(path=found, labels=dict(_labels(given)))


def _labels(given: list[str]) -> Iterable[tuple[str, str]]:
    for each in given:
        found = _LABEL.fullmatch(each)
        if found is None or len(given) > MAX_LABELS:
            raise SettingsError(
                f"FLEETWARD_LABELS: {each!r} is no label, or there are more than {MAX_LABELS}. Write the "
                "robot's labels as site=berlin,hw=orin-nx."
            )
        yield found[1], found[2]
