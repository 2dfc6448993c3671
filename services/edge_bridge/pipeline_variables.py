"""What a robot's environment says of one of its pipelines: the robot's own settings, but for a few."""

from __future__ import annotations

from collections.abc import Mapping

from fleetward.bus.environment import SettingsError
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import ModelName, model_name
from fleetward.contracts.robots import MAX_PIPELINES

PREFIX = "FLEETWARD_"
NAMES = "FLEETWARD_PIPELINES"
_SOURCE = (
    "FRAMES_DIR",
    "FRAME_SOCKET",
    "VIDEO",
    "RECORDING",
    "RECORDING_TOPIC",
    "ROS2_IMAGE_TOPIC",
    "ROS2_RESULT_TOPIC",
)
_OWN = (
    *_SOURCE,
    "BACKEND",
    "DISTURBANCE_INFERENCE_MS",
    "FRAME_HEIGHT_PX",
    "FRAME_RATE_HZ",
    "FRAME_WIDTH_PX",
    "TENSORRT_BUILD_LIMIT_S",
    "TENSORRT_DLA_CORE",
    "TENSORRT_OPTIMIZATION_LEVEL",
    "TENSORRT_WORKSPACE_MIB",
    "WORKER_GROWTH_MIB",
)
"""What a pipeline may be told for itself; the rest a robot has once."""


def names_in(variables: Mapping[str, str]) -> tuple[ModelName, ...]:
    """The models that have a pipeline of their own; raises SettingsError or InvalidIdError."""
    given = [each.strip() for each in variables.get(NAMES, "").split(",")]
    names = tuple(model_name(each) for each in given if each)
    if BRIDGE_MODEL in names:
        raise SettingsError(
            f"{NAMES} names {BRIDGE_MODEL}, which is the bridge itself. Leave it out."
        )
    if len(set(map(_prefix, names))) < len(names) or len(names) > MAX_PIPELINES:
        raise SettingsError(
            f"{NAMES}={variables[NAMES]!r} must name each model once, {MAX_PIPELINES} at most, and none that "
            "differ in - and _ alone: their variables would be the same."
        )
    return names


def refuse_unknown(variables: Mapping[str, str], names: tuple[ModelName, ...]) -> None:
    """Raise SettingsError for what is said of no pipeline, or cannot be said of one."""
    known = {f"{_prefix(name)}{own}" for name in names for own in _OWN}
    for variable in variables:
        if variable.startswith(f"{PREFIX}PIPELINE_") and variable not in known:
            raise SettingsError(
                f"{variable} is not known. It is {PREFIX}PIPELINE_<MODEL>_ and one of "
                f"{', '.join(_OWN)}, for a model that {NAMES} names."
            )


def variables_of(variables: Mapping[str, str], name: ModelName) -> dict[str, str]:
    """The environment as this pipeline's model has it; frames come from elsewhere only where said."""
    prefix = _prefix(name)
    shared = {f"{PREFIX}{source}" for source in _SOURCE}
    inherited = {key: value for key, value in variables.items() if key not in shared}
    own = {
        f"{PREFIX}{key.removeprefix(prefix)}": value
        for key, value in variables.items()
        if key.startswith(prefix)
    }
    return {**inherited, **own}


def _prefix(name: ModelName) -> str:
    return f"{PREFIX}PIPELINE_{name.upper().replace('-', '_')}_"
