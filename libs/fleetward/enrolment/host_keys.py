"""Which host key to believe: the pinned one, the one a person vouches for, or none.

Keys are OpenSSH's public lines, ``ssh-ed25519 AAAA...``; pins are lines of a known_hosts file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence

from fleetward.enrolment.destination import Destination
from fleetward.enrolment.errors import HostKeyRefusedError

_FIELDS = 3


def fingerprint(key: str) -> str:
    """``SHA256:...`` as ssh-keygen writes it; of what is no key, an empty string."""
    try:
        blob = base64.b64decode(key.split()[1], validate=True)
    except (IndexError, binascii.Error):
        return ""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def pins_of(known: str, host: Destination) -> list[str]:
    """The keys that are pinned for ``host``."""
    found = []
    for line in known.splitlines():
        fields = line.split()
        if len(fields) >= _FIELDS and host.known_as in fields[0].split(","):
            found.append(f"{fields[1]} {fields[2]}")
    return found


def with_pin(known: str, host: Destination, key: str) -> str:
    """``known`` with one more pin, unless it is there."""
    if key in pins_of(known, host):
        return known
    return "".join(f"{line}\n" for line in (*known.splitlines(), f"{host.known_as} {key}"))


def without_pins(known: str, host: Destination) -> str:
    """``known`` without the lines of ``host``."""
    kept = (line for line in known.splitlines() if not pins_of(line, host))
    return "".join(f"{line}\n" for line in kept)


def believed(
    host: Destination,
    pins: Sequence[str],
    offered: Sequence[str],
    vouched: str | None,
    *,
    trust_first: bool,
    pins_file: str,
) -> str:
    """The key among those ``offered`` that the session must use; raises HostKeyRefusedError.

    A pin is never overruled, not by a fingerprint either: it is taken out by hand.
    """
    if pins:
        return _as_pinned(host, pins, offered, vouched, pins_file)
    if vouched is not None:
        for key in offered:
            if fingerprint(key) == vouched:
                return key
        raise HostKeyRefusedError(
            f"{host} has the host key {_told(offered)}, not {vouched}. Nothing was sent to it. "
            "Find out whose machine answers there."
        )
    if trust_first:
        return offered[0]
    raise HostKeyRefusedError(
        f"the host key of {host} is not known: {_told(offered)}. Compare it with what "
        "`ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the robot, then pass "
        "--fingerprint, or --trust-first-use on a network where nobody else can answer."
    )


def _as_pinned(
    host: Destination,
    pins: Sequence[str],
    offered: Sequence[str],
    vouched: str | None,
    pins_file: str,
) -> str:
    for key in offered:
        if key in pins and (vouched is None or fingerprint(key) == vouched):
            return key
    expected = vouched if vouched is not None and set(pins) & set(offered) else _told(pins)
    raise HostKeyRefusedError(
        f"the host key of {host} has changed: it is {_told(offered)}, expected {expected}. Nothing was "
        "sent to it. If the robot was installed anew, remove its line from "
        f"{pins_file} and pass the new --fingerprint."
    )


def _told(keys: Sequence[str]) -> str:
    return " or ".join(f"{fingerprint(key)} ({key.split()[0]})" for key in keys) or "none"
