"""What was found on a machine, in one look: the facts that gates and the plan decide from."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

_L4T = re.compile(r"R(\d+) \(release\), REVISION: ([0-9.]+)")


class Entry(Struct, frozen=True, kw_only=True):
    """One path that exists. sha256: of a file's content. target: of a link. mode: octal digits."""

    kind: str
    mode: str = ""
    owner: str = ""
    sha256: str = ""
    target: str = ""


class Found(Struct, frozen=True, kw_only=True):
    """A machine as it is. python: (3, 10), or None without one; glibc: (2, 35)."""

    hostname: str = ""
    arch: str = ""
    kernel: str = ""
    system: str = ""
    """As the distribution calls itself."""
    l4t: str = ""
    """The first line of /etc/nv_tegra_release; empty on what is no Jetson."""
    board: str = ""
    """The device tree's model."""
    memory_bytes: int = 0
    disk_free_bytes: int = 0
    python: tuple[int, int] | None = None
    python_full: str = ""
    glibc: tuple[int, int] = (0, 0)
    account_exists: bool = False
    groups: tuple[str, ...] = ()
    """Of those that a bridge would join, those that exist."""
    has_service_manager: bool = False
    enabled: bool = False
    active: bool = False
    stale_unit: bool = False
    """The service manager has not read the unit file as it is now."""
    settings: str = ""
    """The bridge's environment file."""
    extras: tuple[str, ...] = ()
    """Of the bridge, that an enrolment before asked for."""
    entries: Mapping[str, Entry] = {}
    releases: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    """Directory names below the wheels' directory."""

    @property
    def l4t_release(self) -> tuple[int, str] | None:
        """(36, "4.3"); None where there is none or it cannot be read."""
        match = _L4T.search(self.l4t)
        return (int(match[1]), match[2]) if match else None

    @property
    def described(self) -> str:
        """A few words for a table: the board or the system, and what runs on it."""
        release = self.l4t_release
        system = f"L4T {release[0]}.{release[1]}" if release else self.system
        return ", ".join(part for part in (self.board, system, self.arch) if part)
