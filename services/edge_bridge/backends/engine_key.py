"""The key that seals this robot's engines: made here, never leaves, readable by its own user only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from edge_bridge.backends.sealed import KEY_BYTES
from fleetward.trust.private_files import write_private

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def sealing_key(path: Path) -> tuple[bytes, str]:
    """The key at ``path``, and why it had to be made anew if there was one that cannot count.

    A key that others could read or write seals nothing: whatever was sealed with it is refused from
    now on. Raises OSError. Not for two processes at once.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return _made(path), ""
    except OSError as problem:
        return _made(path), f"it cannot be read: {problem.strerror}"
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        key = file.read(KEY_BYTES + 1)
    if status.st_mode & _OTHERS or status.st_uid != os.geteuid():
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        return _made(path), f"others could use it (mode {mode}, owner {status.st_uid})"
    if len(key) != KEY_BYTES:
        return _made(path), f"it is not {KEY_BYTES} bytes long"
    return key, ""


def _made(path: Path) -> bytes:
    key = os.urandom(KEY_BYTES)
    write_private(path, key)
    return key
