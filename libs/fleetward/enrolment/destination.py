"""Where a robot is logged in to: ``user@host``, ``user@host:port`` or ``user@[address]:port``."""

from __future__ import annotations

import re

from msgspec import Struct

from fleetward.enrolment.errors import DestinationError

SSH_PORT = 22
_FORM = re.compile(
    r"\A(?P<login>[A-Za-z0-9_][A-Za-z0-9._-]{0,31})@"
    r"(?:\[(?P<address>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9])?))"
    r"(?::(?P<port>[0-9]{1,5}))?\Z"
)
_LAST_PORT = 65535


class Destination(Struct, frozen=True):
    """One login on one machine."""

    login: str
    host: str
    port: int = SSH_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.login}@{host}" + ("" if self.port == SSH_PORT else f":{self.port}")

    @property
    def known_as(self) -> str:
        """The host as OpenSSH's known_hosts names it."""
        return self.host if self.port == SSH_PORT else f"[{self.host}]:{self.port}"


def destination(text: str) -> Destination:
    """Read ``text``; raises DestinationError."""
    match = _FORM.match(text)
    port = int(match["port"] or SSH_PORT) if match else 0
    if match is None or not 0 < port <= _LAST_PORT:
        raise DestinationError(
            f"{text!r} is no destination. Write user@host, user@host:port or user@[address]:port."
        )
    return Destination(match["login"], (match["address"] or match["host"]).lower(), port)
