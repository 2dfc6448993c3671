"""What a robot's environment says of its logs."""

from __future__ import annotations

from msgspec.structs import replace

from edge_bridge.logs.limits import MIB, LogSettings
from fleetward.bus.environment import Environment, SettingsError


def logs_of(environment: Environment) -> LogSettings:
    """Off unless FLEETWARD_LOGS says ``on``; raises SettingsError."""
    settings = LogSettings()
    shipping = settings.shipping
    return replace(
        settings,
        enabled=environment.choice("FLEETWARD_LOGS", ("off", "on"), "off") == "on",
        files=_patterns(environment),
        socket=environment.optional_path("FLEETWARD_LOG_SOCKET"),
        journal=_listed(environment, "FLEETWARD_LOG_JOURNAL"),
        segment_s=environment.number("FLEETWARD_LOG_SEGMENT_S", settings.segment_s),
        shipping=replace(
            shipping,
            outbox_bytes=int(
                environment.number("FLEETWARD_LOG_OUTBOX_MIB", shipping.outbox_bytes / MIB) * MIB
            ),
            bytes_per_s=environment.optional_number("FLEETWARD_LOG_BYTES_PER_S"),
        ),
    )


def _patterns(environment: Environment) -> tuple[str, ...]:
    patterns = _listed(environment, "FLEETWARD_LOG_FILES")
    for pattern in patterns:
        if not pattern.startswith("/"):
            raise SettingsError(
                f"FLEETWARD_LOG_FILES has {pattern!r}; begin each pattern with /, as "
                "/var/log/ros/**/*.log."
            )
    return patterns


def _listed(environment: Environment, name: str) -> tuple[str, ...]:
    """Between commas."""
    said = environment.optional_text(name) or ""
    return tuple(each.strip() for each in said.split(",") if each.strip())
