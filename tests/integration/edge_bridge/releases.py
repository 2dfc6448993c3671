"""Releases of the bridge, built as wheels from this tree, each a little different from it."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.bridge_release import BRIDGE_MODEL
from fleetward.contracts.ids import Digest, ModelRef, Version
from fleetward.releases.archive import Platform, write_archive
from tests.integration.enrolment.installed_wheels import BORROWED_FROM_BYTES, fill
from tools.own_wheels import build

HERE = Platform(
    python=f"{sys.version_info.major}.{sys.version_info.minor}",
    arch=platform.machine(),
    glibc=(os.confstr("CS_GNU_LIBC_VERSION") or "glibc 2.17").partition(" ")[2],
)
_SKIPPED = ("faststream", "rich")
"""``fill`` adds what no bridge needs."""

Change = Callable[[Path], None]
"""What is done to the sources of the bridge."""


def as_it_is(sources: Path) -> None:
    """Nothing but another version."""


def begun_with(code: str) -> Change:
    """The program does this before anything else."""

    def change(sources: Path) -> None:
        main = sources / "__main__.py"
        text = main.read_text()
        begins = 'def main() -> int:\n    """The process\'s exit status, unless it becomes the launcher."""\n'
        assert begins in text
        main.write_text(text.replace(begins, f"{begins}    {code}\n"))

    return change


def versioned(version: str, change: Change = as_it_is) -> Change:
    """For ``build``: the bridge gets this version, and is changed; what else is built stays as it is."""

    def changed(copy: Path) -> None:
        if copy.name != "edge_bridge":
            return
        project = copy / "pyproject.toml"
        text = project.read_text()
        project.write_text(text.replace('version = "0.1.0"', f'version = "{version}"', 1))
        change(copy)

    return changed


class Releases:
    """``directory`` holds the wheels that do not differ, and the archives.

    borrowed_from_bytes: packages from this size on lie elsewhere, which keeps releases small.
    """

    def __init__(self, directory: Path, borrowed_from_bytes: int = BORROWED_FROM_BYTES) -> None:
        self._directory = directory
        self._wheels = directory / "wheels"
        fill(self._wheels, borrowed_from_bytes=borrowed_from_bytes)

    def pack(self, version: str, change: Change = as_it_is) -> StagedModel:
        """A release of this version, as the registry would name it."""
        wheels = build(self._directory / f"own-{version}", versioned(version, change))
        others = [
            path
            for path in self._wheels.glob("*.whl")
            if not path.name.startswith(("edge_bridge-", "fleetward-", *_SKIPPED))
        ]
        path = self._directory / f"{version}.tar"
        write_archive(path, HERE, version, [*wheels, *others])
        digest = Digest(f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}")
        model = ModelRef(BRIDGE_MODEL, Version(version))
        return StagedModel(model=model, digest=digest, path=path)


def enrolled_with(release: StagedModel, environment: Path) -> None:
    """An environment as enrolment makes one."""
    environment.parent.mkdir(parents=True)
    install = [sys.executable, "-m", "edge_bridge.updating.install"]
    subprocess.run([*install, str(release.path), str(environment)], check=True)


def launcher_in(directory: Path) -> Path:
    """The launcher where enrolment puts it, apart from every release."""
    from fleetward.releases import launch

    return Path(shutil.copy(launch.__file__, directory / "launch.py"))
