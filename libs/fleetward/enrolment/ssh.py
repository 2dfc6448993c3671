"""One SSH session with one host whose key is known: scripts run, files sent, nothing left behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
from msgspec import Struct

from fleetward.enrolment.destination import Destination
from fleetward.enrolment.errors import HostKeyRefusedError, HostUnreachableError
from fleetward.enrolment.host_keys import fingerprint

HOST_KEY_ALGORITHMS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
"""A host has a key of each kind and shows one at a time: each kind is asked for."""
OUTPUT_LIMIT_CHARACTERS = 2_000
"""Of what a failed script said, as much as a person reads."""


class SshSettings(Struct, frozen=True, kw_only=True):
    """How sessions are made. identities: private keys; none: the agent's and those in ~/.ssh."""

    identities: tuple[str, ...] = ()
    reads_config: bool = True
    """Whether ~/.ssh/config counts: host aliases, jump hosts."""
    connect_timeout_s: float = 15.0
    script_timeout_s: float = 900.0
    """A wheel of 100 MB on a slow disk, compiled by a slow processor."""
    keepalive_s: float = 5.0
    keepalives: int = 6


class Ran(Struct, frozen=True, kw_only=True):
    """How a script ended."""

    status: int
    said: str
    complained: str

    @property
    def reason(self) -> str:
        """Its last words."""
        return (self.complained.strip() or self.said.strip())[-OUTPUT_LIMIT_CHARACTERS:]


class Session:
    """Made by ``connected``. ``becomes``: put before the shell of scripts that need rights."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, host: Destination, settings: SshSettings
    ) -> None:
        self._connection = connection
        self._host = host
        self._settings = settings
        self._folder: str | None = None
        self._sftp: asyncssh.SFTPClient | None = None
        self._count = 0
        self.becomes = ""

    async def run(self, script: str) -> Ran:
        """Run ``script`` in a POSIX shell; raises HostUnreachableError."""
        try:
            done = await self._connection.run(
                f"{self.becomes}sh -s", input=script, timeout=self._settings.script_timeout_s
            )
        except (asyncssh.Error, OSError, asyncio.TimeoutError) as error:
            raise HostUnreachableError(
                f"the session with {self._host} broke: {error!r}."
            ) from error
        status = done.exit_status if done.exit_status is not None else -1
        return Ran(status=status, said=str(done.stdout or ""), complained=str(done.stderr or ""))

    async def send(self, content: bytes | Path) -> str:
        """Send a file for the next script, readable to the login alone; where it lies there."""
        self._count += 1
        path = f"{await self._staging()}/{self._count}"
        try:
            if self._sftp is None:
                self._sftp = await self._connection.start_sftp_client()
            if isinstance(content, Path):
                await self._sftp.put(str(content), path)
            else:
                attributes = asyncssh.SFTPAttrs(permissions=0o600)
                async with self._sftp.open(path, "wb", attributes) as file:
                    await file.write(content)
        except (asyncssh.Error, OSError) as error:
            raise HostUnreachableError(
                f"{self._host} did not take a file by SFTP: {error}. Is its disk full, or SFTP off?"
            ) from error
        return path

    async def clean(self) -> None:
        """Remove what was sent."""
        if self._folder is not None:
            await self._connection.run(f"rm -rf {self._folder}")

    async def _staging(self) -> str:
        if self._folder is None:
            made = await self._connection.run("mktemp -d /var/tmp/fleetward.XXXXXXXX")
            self._folder = str(made.stdout or "").strip()
            if made.exit_status != 0 or not self._folder.startswith("/var/tmp/fleetward."):  # noqa: S108 (mktemp made it)
                raise HostUnreachableError(
                    f"{self._host} could not make a directory in /var/tmp: {made.stderr!s:.200}"
                )
        return self._folder


async def offered_keys(
    host: Destination, settings: SshSettings, enough: Callable[[str], bool]
) -> Sequence[str]:
    """The host's keys, each as an OpenSSH public line, up to one that is ``enough``."""
    offered: list[str] = []
    for algorithms in HOST_KEY_ALGORITHMS:
        key = await _offered_key(host, settings, algorithms)
        if key is not None:
            offered.append(key)
            if enough(key):
                break
    if not offered:
        raise HostUnreachableError(f"{host} showed no host key. Is an SSH server there?")
    return offered


async def _offered_key(
    host: Destination, settings: SshSettings, algorithms: Sequence[str]
) -> str | None:
    try:
        key = await asyncio.wait_for(
            asyncssh.get_server_host_key(
                host.host,
                host.port,
                server_host_key_algs=algorithms,
                config=() if settings.reads_config else None,
            ),
            settings.connect_timeout_s,
        )
    except (asyncssh.KeyExchangeFailed, asyncssh.ConnectionLost, ConnectionResetError):
        return None  # it has none of this kind, and OpenSSH hangs up on who asks for one
    except (asyncssh.Error, OSError, asyncio.TimeoutError) as error:
        raise HostUnreachableError(_unreachable(host, error)) from error
    return " ".join(key.export_public_key().decode().split()[:2]) if key is not None else None


@asynccontextmanager
async def connected(host: Destination, key: str, settings: SshSettings) -> AsyncIterator[Session]:
    """A session with the host that holds ``key``, and no other; raises HostUnreachableError."""
    try:
        connection = await asyncssh.connect(
            host.host,
            host.port,
            username=host.login,
            known_hosts=([asyncssh.import_public_key(key)], [], []),
            client_keys=list(settings.identities) or (),
            config=() if settings.reads_config else None,
            connect_timeout=settings.connect_timeout_s,
            login_timeout=settings.connect_timeout_s,
            keepalive_interval=settings.keepalive_s,
            keepalive_count_max=settings.keepalives,
        )
    except asyncssh.HostKeyNotVerifiable as error:
        raise HostKeyRefusedError(
            f"{host} no longer shows the host key {fingerprint(key)}: it changed within seconds, so "
            "somebody stands between. Nothing was sent to it."
        ) from error
    except asyncssh.PermissionDenied as error:
        raise HostUnreachableError(
            f"{host} lets none of your keys in. Put one there with `ssh-copy-id {host}`, or name one "
            "with --identity."
        ) from error
    except (asyncssh.Error, OSError, asyncio.TimeoutError) as error:
        raise HostUnreachableError(_unreachable(host, error)) from error
    async with connection:
        session = Session(connection, host, settings)
        try:
            yield session
        finally:
            if not connection.is_closed():
                await session.clean()


def _unreachable(host: Destination, error: BaseException) -> str:
    said = str(error) or type(error).__name__
    return f"{host} cannot be reached: {said}. Is it on, and is its address right?"
