"""A machine's warmth and power mode for a receipt, from files laid out as Jetsons lay them out."""

from __future__ import annotations

from pathlib import Path

from edge_bridge.telemetry.surroundings import (
    GOVERNOR,
    NVPMODEL_NAMES,
    PLATFORM_PROFILE,
    Surroundings,
)
from tests.unit.edge_bridge.test_machine import laid_out


def wrote(root: Path, path: str, content: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(content)


def test_zones_are_named_by_kind_and_the_warmest_of_a_kind_counts(tmp_path: Path) -> None:
    laid_out("orin-nx", tmp_path)
    second = "sys/devices/virtual/thermal/thermal_zone9"
    wrote(tmp_path, f"{second}/type", "cpu-thermal")
    wrote(tmp_path, f"{second}/temp", "51000")
    assert Surroundings(tmp_path).temperatures_c() == {"cpu-thermal": 51.0, "tj-thermal": 48.5}


def test_a_jetson_tells_its_mode_by_name_and_by_number_where_it_has_none(tmp_path: Path) -> None:
    wrote(tmp_path, "var/lib/nvpmodel/status", "pmode:0002 fmode:quiet")
    assert Surroundings(tmp_path).power_mode() == "mode 2"
    names = "< POWER_MODEL ID=12 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\nCPU_ONLINE 1\n"
    wrote(tmp_path, NVPMODEL_NAMES, names)
    assert Surroundings(tmp_path).power_mode() == "MAXN_SUPER"


def test_another_machine_tells_its_profile_or_its_governor_or_nothing(tmp_path: Path) -> None:
    assert Surroundings(tmp_path).power_mode() == ""
    assert Surroundings(tmp_path).temperatures_c() == {}
    wrote(tmp_path, GOVERNOR, "performance\n")
    assert Surroundings(tmp_path).power_mode() == "performance"
    wrote(tmp_path, PLATFORM_PROFILE, "balanced\n")
    assert Surroundings(tmp_path).power_mode() == "balanced"
