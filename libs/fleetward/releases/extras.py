"""Extras of the bridge: which a robot's settings ask for, and what each brings that can be loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PREFIX = "FLEETWARD_"
EXTRA_OF = {"RULES": "rules", "FOXGLOVE": "foxglove", "VIDEO": "video", "RECORDING": "mcap"}
"""Variables that need an extra once they say anything."""
NOT_ASKED = {"RULES": "none"}
"""Words by which they say that nothing is wanted."""
OF_PIPELINES = ("VIDEO", "RECORDING", "BACKEND")
"""Variables that may be said of one pipeline, as FLEETWARD_PIPELINE_SPEECH_RECORDING."""
MODULE_OF = {
    "rules": "fleetward.rules.compilation",
    "foxglove": "foxglove",
    "video": "av",
    "mcap": "mcap_ros2.decoder",
}
"""What a bridge imports of an extra; ``tensorrt`` has none that loads on a machine without a driver."""

BROUGHT_ON = {"tensorrt": "aarch64"}
"""Processors on which the bare bridge brings what is an extra on others."""


def asked_for_by(variables: Mapping[str, str]) -> frozenset[str]:
    """The extras that a bridge needs for what it is told in its environment."""
    asked = {
        extra
        for name, extra in EXTRA_OF.items()
        if any(
            value and value != NOT_ASKED.get(name) and _says(variable, name)
            for variable, value in variables.items()
        )
    }
    if any(value == "tensorrt" and _says(each, "BACKEND") for each, value in variables.items()):
        asked.add("tensorrt")
    return frozenset(asked)


def lacked_without(variables: Mapping[str, str], arch: str) -> frozenset[str]:
    """Those of them that the bare bridge lacks on a machine with this processor."""
    return frozenset(each for each in asked_for_by(variables) if BROUGHT_ON.get(each) != arch)


def wanted_extras(
    named: Sequence[str] | None, held: Sequence[str], variables: Mapping[str, str]
) -> tuple[str, ...]:
    """Those that are named, else those that a robot has, and always what its settings ask for."""
    chosen = held if named is None else named
    return tuple(sorted({*chosen, *asked_for_by(variables)}))


def modules_of(extras: Sequence[str]) -> tuple[str, ...]:
    """What proves that they are there."""
    return tuple(MODULE_OF[extra] for extra in extras if extra in MODULE_OF)


def _says(variable: str, name: str) -> bool:
    of_one = variable.startswith(f"{PREFIX}PIPELINE_") and variable.endswith(f"_{name}")
    return variable == f"{PREFIX}{name}" or (of_one and name in OF_PIPELINES)
