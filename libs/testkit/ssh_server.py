"""A real OpenSSH server on loopback that lets the current user in, into a home and a PATH of its own.

`make setup` unpacks one into .venv/openssh; a server that the system has is used as well. Its account
names come from a file (nss_wrapper), so that no ~/.bashrc of a person takes part and the privilege
separation user need not exist.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import sys
from pathlib import Path

import asyncssh
import pytest

from fleetward.local.child import Child, Command
from fleetward.local.ports import LOOPBACK, free_port
from testkit.servers import START_ATTEMPTS, up_before_exit

UNPACKED = Path(sys.prefix) / "openssh"
PRIVILEGE_SEPARATION_DIR = Path("/run/sshd")
RETRY_S = 0.02
MISSING = "there is no OpenSSH server. Install one with: apt-get install openssh-server"
_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
SetEnv PATH={path}
LogLevel VERBOSE
"""


class SshServer:
    """``programs``: first on the PATH of who logs in. Making one skips the test where there is no sshd."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.programs = directory / "programs"
        self.client_key = directory / "client_key"
        self.login = pwd.getpwuid(os.getuid()).pw_name
        self.port = 0
        self.host_key = ""
        self._child: Child | None = None
        self._sshd = sshd()
        self.programs.mkdir(parents=True)
        (directory / "home").mkdir()
        self._write_client_key()
        self.change_host_key()

    @property
    def destination(self) -> str:
        """As a person writes it."""
        return f"{self.login}@{LOOPBACK}:{self.port}"

    @property
    def fingerprint(self) -> str:
        """Of the host key."""
        return asyncssh.import_public_key(self.host_key).get_fingerprint()

    def change_host_key(self) -> None:
        """Take another host key, which counts from the next start."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        _write_private(self.directory / "host_key", key.export_private_key())
        self.host_key = " ".join(key.export_public_key().decode().split()[:2])

    async def start(self) -> None:
        """Start it, at first on a free port, then on the same."""
        _allow_privilege_separation()
        for _ in range(START_ATTEMPTS):
            self.port = self.port or free_port()
            self._write_configuration()
            self._child = Child.start(self._command())
            if await up_before_exit(self._child, _listening(self.port)):
                return
            self.port = 0
        raise RuntimeError(f"sshd did not start; see {self.directory}/sshd.log")

    async def stop(self) -> None:
        """Stop it and every session."""
        if self._child is not None and self._child.running:
            await self._child.stop(0)

    def _command(self) -> Command:
        return Command(
            name="sshd",
            arguments=[str(self._sshd), "-D", "-e", "-f", str(self.directory / "sshd_config")],
            environment=self._environment(),
            directory=self.directory,
            log=self.directory / "sshd.log",
        )

    def _environment(self) -> dict[str, str]:
        libraries = sorted(UNPACKED.glob("usr/lib/*/libnss_wrapper.so"))
        if not libraries:
            return {}
        return {
            "LD_LIBRARY_PATH": str(libraries[0].parent),
            "LD_PRELOAD": str(libraries[0]),
            "NSS_WRAPPER_PASSWD": str(self.directory / "passwd"),
            "NSS_WRAPPER_GROUP": "/etc/group",
        }

    def _write_client_key(self) -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        _write_private(self.client_key, key.export_private_key())
        (self.directory / "authorized_keys").write_bytes(key.export_public_key())

    def _write_configuration(self) -> None:
        path = f"{self.programs}:/usr/local/bin:/usr/bin:/bin"
        config = _CONFIG.format(port=self.port, directory=self.directory, path=path)
        (self.directory / "sshd_config").write_text(config)
        home, group = self.directory / "home", os.getgid()
        (self.directory / "passwd").write_text(
            f"{self.login}:x:{os.getuid()}:{group}::{home}:/bin/sh\n"
            "sshd:x:65533:65534::/nonexistent:/usr/sbin/nologin\n"
        )


def sshd() -> Path:
    """The server's program; skips the test where there is none, and says what to install."""
    found = UNPACKED / "usr/sbin/sshd"
    if found.exists():
        return found
    installed = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    if installed is None:
        pytest.skip(MISSING)
    return Path(installed)


def _allow_privilege_separation() -> None:
    """The empty directory that sshd wants when root runs it; Debian's service makes it as well."""
    if os.getuid() == 0:
        PRIVILEGE_SEPARATION_DIR.mkdir(mode=0o755, exist_ok=True)


async def _listening(port: int) -> None:
    """Return once the server greets."""
    while not await _greets(port):  # noqa: ASYNC110 (another process listens)
        await asyncio.sleep(RETRY_S)


async def _greets(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        return (await reader.readline()).startswith(b"SSH-2.0-")
    except OSError:
        return False
    finally:
        writer.close()


def _write_private(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
