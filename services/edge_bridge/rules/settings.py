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
NONE = "none"
"""As a path: this robot is judged by no rules, whatever the hub sends."""
MAX_LABELS = 64
_LABEL = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*([^=]*?)\s*")


class RuleSettings(Struct, frozen=True, kw_only=True):
    """path: a rule file, or a directory of them; None: by what the hub sends. labels: the robot's, as it was
    enrolled with them; none: those that the hub knows.

    lookback_s: how old an instant selector's sample may be, by rules of a file; as the hub's.
    """

    path: Path | None = None
    labels: dict[str, str] = {}
    lookback_s: float = 300.0


def rule_settings(environment: Environment) -> RuleSettings | None:
    """``/etc/fleetward/rules``, ``shipped``, or ``none``, which is None; ``site=berlin,hw=orin-nx``.

    Where nothing is said, the hub's. Raises SettingsError.
    """
    path = environment.optional_text("FLEETWARD_RULES")
    if path == NONE:
        return None
    labels = environment.optional_text("FLEETWARD_LABELS") or ""
    given = [each for each in labels.split(",") if each.strip()]
    return RuleSettings(path=_files(path) if path else None, labels=dict(_labels(given)))


def _files(path: str) -> Path:
    shipped = Path(str(files("fleetward.rules") / "shipped_rules"))
    return shipped if path == SHIPPED else Path(path)


def _labels(given: list[str]) -> Iterable[tuple[str, str]]:
    for each in given:
        found = _LABEL.fullmatch(each)
        if found is None or len(given) > MAX_LABELS:
            raise SettingsError(
                f"FLEETWARD_LABELS: {each!r} is no label, or there are more than {MAX_LABELS}. Write the "
                "robot's labels as site=berlin,hw=orin-nx."
            )
        yield found[1], found[2]
