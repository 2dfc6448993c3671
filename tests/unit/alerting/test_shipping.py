"""A new system gets the shipped rules once; what an operator keeps is never touched."""

from __future__ import annotations

from pathlib import Path

from alerting.shipping import ship_rules
from fleetward.rules.compilation import load_rulebook


def test_an_empty_directory_gets_rules_that_load(tmp_path: Path) -> None:
    assert ship_rules(tmp_path / "rules")
    load_rulebook(tmp_path / "rules")
    assert (tmp_path / "rules" / "fleetward.yml").read_text().count("- alert:") > 3


def test_an_operators_rules_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "own.yml").write_text("groups: []\n")
    assert not ship_rules(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["own.yml"]
