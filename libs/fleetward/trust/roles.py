"""Who vouches for what, for how long, and how large each one's word may grow.

root (offline, by threshold) names the keys of all others. targets lists what is published, one
delegated role per model; snapshot pins the versions of those; timestamp says which snapshot is
today's. Two are ours, named by the root beside the four roles of TUF, so that no online key can change
them: commands, who may tell a robot what to serve, and rules, by whose alert rules it judges itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fleetward.contracts.ids import ModelName, ModelRef
from fleetward.contracts.trust import RoleName

ROOT = "root"
TARGETS = RoleName("targets")
SNAPSHOT = RoleName("snapshot")
TIMESTAMP = RoleName("timestamp")
COMMANDS = "commands"
RULES = "rules"
"""A root may name no key for it: robots then judge by no rules but their own."""

ONLINE_ROLES = (TARGETS, SNAPSHOT, TIMESTAMP)
"""Signed by the registry as it works."""

DAY_S = 86_400.0
VALID_S: Mapping[str, float] = MappingProxyType(
    {ROOT: 365 * DAY_S, TARGETS: 90 * DAY_S, SNAPSHOT: 14 * DAY_S, TIMESTAMP: 1 * DAY_S}
)
"""How long a role's metadata is believed; the registry renews the online ones long before."""

TIMESTAMP_PERIOD_S = 600.0
"""The registry signs a new timestamp so often: its heartbeat."""

MAX_MODELS = 500
"""Models that may be listed; snapshot and targets together stay below 256 KiB."""
MAX_METADATA_BYTES = 512 * 1024
"""Any one role; 500 versions of one model take about 150 KiB."""
MAX_ROOTS = 256
"""Rotations that a robot may have slept through."""
MAX_ROOT_BYTES = 32 * 1024

_MODEL_PREFIX = "model-"


def role_of(name: ModelName) -> RoleName:
    """The delegated role that lists the versions of one model; never the name of a top role."""
    return RoleName(f"{_MODEL_PREFIX}{name}")


def is_model_role(role: str) -> bool:
    """Whether ``role`` lists the versions of a model."""
    return role.startswith(_MODEL_PREFIX)


def path_of(model: ModelRef) -> str:
    """The target path of one version."""
    return f"{model.name}/{model.version}"


def paths_in(name: ModelName) -> str:
    """The target paths that the role of one model may speak about."""
    return f"{name}/*"
