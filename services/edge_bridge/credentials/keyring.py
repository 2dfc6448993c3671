"""A robot's credentials on its disk: what enrolment put there, and what took its place since.

The bridge cannot write where enrolment does. What it renewed lies in its own directory and names the key
that it was enrolled with; when that is another, somebody enrolled the robot anew, and what follows from
the old one is worth nothing.
"""

from __future__ import annotations

import logging
from pathlib import Path

from msgspec import Struct

from edge_bridge.credentials.held import Credential, Held, Next
from edge_bridge.errors import DiskFailedError
from edge_bridge.files import Disk, Files, full_disk_named
from fleetward.bus.logs import log
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.trust.nats_jwt import (
    KeyPair,
    MalformedTokenError,
    claims_of,
    key_in,
    key_of,
    token_in,
)

_logger = logging.getLogger(__name__)

RENEWED = "renewed"
NEXT = "next"


class _Kept(Struct, frozen=True):
    """A file. enrolled_key: whose successor this is. token empty: there is none yet."""

    enrolled_key: str
    seed: bytes
    token: str = ""


class NoCredentialsError(OSError):
    """There is nothing to show the server; a person must enrol the robot."""


class Keyring:
    """``enrolled``: the file of enrolment. ``directory``: the bridge's own."""

    def __init__(self, enrolled: Path, directory: Path, disk: Disk | None = None) -> None:
        self._enrolled = enrolled
        self._directory = directory
        self._files = Files(disk or Disk())
        self.in_use: Credential | None = None
        """What the server let this robot in with last."""
        self.held = Held(enrolled=None)
        self.reload()

    @property
    def signing_key(self) -> KeyPair:
        """What the robot signs with; raises NoCredentialsError."""
        credential = self.in_use or next(iter(self.held.shown), None)
        if credential is None:
            raise NoCredentialsError(f"this robot has no usable credentials in {self._enrolled}.")
        return credential.key

    def reload(self) -> Held:
        """Read what lies on the disk. Blocks for three small files."""
        enrolled = self._read_enrolled()
        if enrolled is None:
            self.held = Held(enrolled=None)
            return self.held
        renewed, coming = (self._read_kept(name, enrolled.key.public) for name in (RENEWED, NEXT))
        self.held = Held(
            enrolled=enrolled,
            renewed=Credential(renewed.token, renewed.seed) if renewed else None,
            next=Next(coming.seed, coming.token) if coming else None,
        )
        return self.held

    def keep_next(self, coming: Next) -> None:
        """Have the next key, or its credentials, on the disk; raises DiskFullError, DiskFailedError."""
        self._write(NEXT, coming.seed, coming.token)

    def adopt(self, confirmed: Credential) -> None:
        """Let it be the current one, and forget the one before; raises as ``keep_next``."""
        self._write(RENEWED, confirmed.seed, confirmed.token)
        self.forget_next()

    def forget_next(self) -> None:
        """There is no next key; raises as ``keep_next``."""
        self._files.remove(self._directory / NEXT)
        with full_disk_named(NEXT):
            self._files.disk.sync_directory(self._directory)
        self.reload()

    def _write(self, name: str, seed: bytes, token: str) -> None:
        enrolled = self.held.enrolled
        assert enrolled is not None, "nothing follows from nothing"
        if not self._directory.exists():
            with full_disk_named(str(self._directory)):
                self._directory.mkdir(mode=0o700, parents=True)
                self._files.disk.sync_directory(self._directory.parent)
        kept = _Kept(enrolled.key.public, seed, token)
        self._files.write_whole(self._directory / name, encode(kept))
        self.reload()

    def _read_enrolled(self) -> Credential | None:
        try:
            text = self._enrolled.read_text(encoding="ascii")
            credential = Credential(token_in(text), key_in(text).seed)
            return _usable(credential)
        except (OSError, ValueError, MalformedTokenError) as problem:
            self._complain(self._enrolled, problem)
            return None

    def _read_kept(self, name: str, enrolled_key: str) -> _Kept | None:
        path = self._directory / name
        try:
            content = self._files.read(path)
            if content is None:
                return None
            kept = decode(content, _Kept)
            if kept.enrolled_key != enrolled_key:
                return None
            if kept.token:
                _usable(Credential(kept.token, kept.seed))
            else:
                key_of(kept.seed)
        except (
            DiskFailedError,
            UnreadableMessageError,
            ValueError,
            MalformedTokenError,
        ) as problem:
            self._complain(path, problem)
            return None
        return kept if kept.token or name == NEXT else None

    def _complain(self, path: Path, problem: Exception) -> None:
        log(
            _logger,
            "credentials.unreadable",
            level=logging.ERROR,
            path=str(path),
            reason=str(problem) or type(problem).__name__,
        )


def _usable(credential: Credential) -> Credential:
    """The very same; raises MalformedTokenError when the two halves do not belong together."""
    claims, key = claims_of(credential.token), key_of(credential.seed)
    if claims.get("sub") != key.public or not isinstance(claims.get("iat"), int):
        raise MalformedTokenError("the token is made out to another key than the one beside it.")
    return credential
