"""The key that seals this robot's engines: made here, never leaves, readable by its own user only."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

from edge_bridge.backends.sealed import KEY_BYTES
from fleetward.trust.private_files import write_private

POOL_DIGITS = 16


class TwinsKeyError(Exception):
    """The twins' key cannot count; the message says why."""


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
    key, fault = _private(descriptor)
    return (_made(path), fault) if fault else (key, "")


def twins_key(path: Path) -> bytes:
    """The key that robots of the same hardware share; raises TwinsKeyError."""
    try:
        key, fault = _private(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))
    except OSError as problem:
        raise TwinsKeyError(f"{path} cannot be read: {problem.strerror}") from problem
    if fault:
        raise TwinsKeyError(f"{path} does not count: {fault}")
    return key


def pool_of(key: bytes) -> str:
    """Which twins' key this is, for those who must not know it."""
    return hmac.new(key, b"pool", hashlib.sha256).hexdigest()[:POOL_DIGITS]


def _private(descriptor: int) -> tuple[bytes, str]:
    """A key, or why it cannot count."""
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        key = file.read(KEY_BYTES + 1)
    if status.st_mode & _OTHERS or status.st_uid != os.geteuid():
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        return b"", f"others could use it (mode {mode}, owner {status.st_uid})"
    if len(key) != KEY_BYTES:
        return b"", f"it is not {KEY_BYTES} bytes long"
    return key, ""


def _made(path: Path) -> bytes:
    key = os.urandom(KEY_BYTES)
    write_private(path, key)
    return key
