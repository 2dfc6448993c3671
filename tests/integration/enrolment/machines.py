"""A hub on a real NATS, and machines to enrol: directories behind one real SSH server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from typer.testing import CliRunner

from fleetward.cli.__main__ import app
from fleetward.contracts.rows import Principal
from fleetward.enrolment.layout import UNIT
from fleetward.local.home import Home
from fleetward.local.programs import commands_key
from testkit import systemctl
from testkit.servers import NatsSystem
from testkit.ssh_server import SshServer
from tests.integration.enrolment.installed_wheels import fill

NAME = "arm-7"


class Machines:
    """``root``: where the machine that is enrolled has its files."""

    def __init__(self, system: NatsSystem, server: SshServer, directory: Path) -> None:
        self.system = system
        self.server = server
        self.home = system.directory
        self.root = directory / "robot"
        self.directory = directory
        self.wheelhouse = directory / "wheelhouse"
        self.root.mkdir()
        systemctl.install(server.programs, self.root)
        self._be_a_home()

    def run(self, *words: str) -> tuple[int, Any, str]:
        """Exit code, what its JSON says, and complaints of ``fleetward robot WORDS``, as a person runs it."""
        ran = CliRunner().invoke(
            app,
            [*("robot", *words), "--json", "--home", str(self.home)],
            env={"HOME": str(self.directory), "SSH_AUTH_SOCK": ""},
        )
        return ran.exit_code, json.loads(ran.stdout or "[]"), ran.stderr

    def enrol(self, *words: str, root: Path | None = None) -> tuple[int, dict[str, Any]]:
        """Exit code and result of enrolling the one machine."""
        code, results, complaints = self.run(
            "enroll", self.server.destination, *self.enrolling(root), *words
        )
        assert len(results) == 1, complaints
        return code, results[0]

    def enrolling(self, root: Path | None = None) -> list[str]:
        """The options that every enrolment here needs."""
        return [
            *("--account", self.server.login, "--python", sys.executable),
            *("--wheelhouse", str(self.wheelhouse)),
            *self.reaching(root),
        ]

    def reaching(self, root: Path | None = None) -> list[str]:
        """The options that every session here needs."""
        return ["--identity", str(self.server.client_key), "--prefix", str(root or self.root)]

    def path(self, place: str) -> Path:
        """A place on the robot."""
        return self.root / place

    def pid(self) -> int:
        """The running bridge, or 0."""
        return systemctl.Machine(self.root, UNIT).pid

    def logins(self) -> int:
        """How often the SSH server let somebody in."""
        return (self.server.directory / "sshd.log").read_text().count("Accepted publickey")

    def tree(self) -> dict[str, tuple[int, int, str]]:
        """Inode, mode and content's name of everything that enrolment writes."""
        places = [self.path("opt"), self.path("etc")]
        return {
            str(path): (path.lstat().st_ino, path.lstat().st_mode, _target(path))
            for place in places
            for path in place.rglob("*")
        }

    def _be_a_home(self) -> None:
        """As ``fleetward up`` would have left it."""
        for principal in (Principal.OPERATOR, Principal.ENROLLER):
            self.system.credentials(principal)
        self.system.identities.issue_system()
        (self.home / "trust").mkdir()
        commands_key(Home(self.home))
        connection = {
            "nats_url": self.system.url,
            "s3_endpoint": "http://127.0.0.1:9",
            "s3_access_key": "nobody",
            "s3_secret_key": "nothing",
        }
        (self.home / "connection.json").write_bytes(msgspec.json.encode(connection))


@contextmanager
def machines(directory: Path, extras: Sequence[str] = ()) -> Iterator[Machines]:
    """A hub, an SSH server and a wheelhouse filled with these extras, for the length of a block."""
    system, server = NatsSystem(directory / "hub"), SshServer(directory / "ssh")
    asyncio.run(server.start())
    try:
        asyncio.run(system.start())
        made = Machines(system, server, directory)
        fill(made.wheelhouse, extras)
        yield made
    finally:
        systemctl.Machine(directory / "robot", UNIT).stop()
        asyncio.run(system.stop())
        asyncio.run(server.stop())


def _target(path: Path) -> str:
    return str(path.readlink()) if path.is_symlink() else ""
