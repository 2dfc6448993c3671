"""Gives a new system the rules that Fleetward ships with; from then on they are the operator's."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

RULE_FILES = ("*.yml", "*.yaml")


def ship_rules(rules_dir: Path) -> bool:
    """Copy the shipped rules into ``rules_dir`` unless it holds a rule file; whether it did.

    An operator who wants no rules at all keeps a file with ``groups: []``.
    """
    rules_dir.mkdir(parents=True, exist_ok=True)
    if any(path for pattern in RULE_FILES for path in rules_dir.glob(pattern)):
        return False
    with as_file(files("fleetward.rules") / "shipped_rules") as shipped:
        for source in sorted(shipped.glob("*.yml")):
            partial = rules_dir / f".{source.name}.partial"
            shutil.copyfile(source, partial)
            partial.replace(rules_dir / source.name)
    return True
