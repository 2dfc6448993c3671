"""Where viewers find the robot: a port of its loopback, by ``FLEETWARD_FOXGLOVE``."""

from __future__ import annotations

import ipaddress

from msgspec import Struct

from fleetward.bus.environment import Environment, SettingsError

LOOPBACK = "127.0.0.1"
MAX_PORT = 65_535


class FoxgloveAddress(Struct, frozen=True):
    """Port 0: any free one, which the log tells."""

    host: str
    port: int


def foxglove_address(environment: Environment) -> FoxgloveAddress | None:
    """``8765``, ``127.0.0.1:8765`` or ``[::1]:8765``; None: nowhere. Raises SettingsError."""
    text = environment.optional_text("FLEETWARD_FOXGLOVE")
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    host = host.strip("[]") or LOOPBACK
    if not port.isascii() or not port.isdigit() or int(port) > MAX_PORT:
        raise SettingsError(
            f"FLEETWARD_FOXGLOVE={text!r} is no port and no host:port, as 8765. Correct it."
        )
    if not _is_loopback(host):
        raise SettingsError(
            f"FLEETWARD_FOXGLOVE={text!r} is not on loopback: whoever reaches it would see all that the robot "
            f"sees. Say {port}, and look from elsewhere by: ssh -L {port}:{LOOPBACK}:{port} ROBOT"
        )
    return FoxgloveAddress(LOOPBACK if host == "localhost" else host, int(port))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
