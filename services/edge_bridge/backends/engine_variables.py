"""What a robot's environment says of TensorRT engines: how they are built, and with whom they are shared."""

from __future__ import annotations

from msgspec.structs import replace

from edge_bridge.backends.engine_settings import ANYBODY, EngineSettings, TwinSettings
from fleetward.bus.environment import Environment, SettingsError
from fleetward.contracts.ids import robot_id

MIB = 1024 * 1024
DLA_CORES = ("0", "1")
"""Of an Orin."""
OPTIMIZATION_LEVELS = ("0", "1", "2", "3", "4", "5")


def engines_from(environment: Environment) -> EngineSettings:
    """Raises SettingsError, InvalidIdError."""
    engines = EngineSettings()
    dla_core = environment.choice("FLEETWARD_TENSORRT_DLA_CORE", ("", *DLA_CORES), "")
    workspace_mib = environment.number(
        "FLEETWARD_TENSORRT_WORKSPACE_MIB", engines.workspace_bytes / MIB
    )
    level = environment.choice(
        "FLEETWARD_TENSORRT_OPTIMIZATION_LEVEL",
        OPTIMIZATION_LEVELS,
        str(engines.optimization_level),
    )
    return replace(
        engines,
        dla_core=int(dla_core) if dla_core else None,
        workspace_bytes=int(workspace_mib * MIB),
        optimization_level=int(level),
        build_limit_s=environment.number("FLEETWARD_TENSORRT_BUILD_LIMIT_S", engines.build_limit_s),
        twins=_twins(environment),
    )


def _twins(environment: Environment) -> TwinSettings | None:
    """None: this robot shares engines with nobody."""
    key = environment.optional_path("FLEETWARD_TENSORRT_TWINS_KEY")
    text = environment.optional_text("FLEETWARD_TENSORRT_TWINS_BUILDERS") or ""
    builders = tuple(each.strip() for each in text.split(",") if each.strip())
    if key is None:
        if not builders:
            return None
        raise SettingsError(
            "FLEETWARD_TENSORRT_TWINS_BUILDERS names robots whose engines may run here, and "
            "FLEETWARD_TENSORRT_TWINS_KEY, which proves that they built them, is not set. Set it too."
        )
    return TwinSettings(
        robot_id=robot_id(environment.text("FLEETWARD_ROBOT_ID")),
        key=str(key.absolute()),
        builders=tuple(each if each == ANYBODY else robot_id(each) for each in builders),
    )
