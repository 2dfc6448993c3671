"""Puts exactly the wheels a lock names into a directory, or says which one could not be had.

The files are only read, never imported, so one platform's wheel serves every machine, and the
hash in the lock decides whether what arrived is what was meant.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

from fleetward.contracts.errors import FleetwardError

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALL_TIMEOUT_S = 300.0

_LOCKED = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--python-version", "3.11"]


class WheelUnavailableError(FleetwardError):
    """A locked wheel could not be installed."""

    def __init__(self, lock: Path, cause: str) -> None:
        super().__init__(
            f"{pinned(lock)} (locked in {lock.name}) cannot be had: {cause}. "
            "Check that the package index is reachable, then run this again; "
            "nothing was changed."
        )


def pinned(lock: Path) -> str:
    """Return the `name==version` a lock names."""
    lines = lock.read_text().splitlines()
    return next(line.split()[0] for line in lines if "==" in line and not line.startswith("#"))


def install(lock: Path, target: Path) -> None:
    """Install the lock's wheel under `target`, which is made. Raises WheelUnavailableError."""
    command = [*_installer(lock), *_LOCKED, "--target", str(target), "-r", str(lock)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise WheelUnavailableError(lock, f"no answer in {INSTALL_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        raise WheelUnavailableError(lock, _cause(done.stderr))


def _installer(lock: Path) -> list[str]:
    uv = REPOSITORY / ".uv" / "venv" / "bin" / "uv"
    found = str(uv) if uv.exists() else shutil.which("uv")
    if found:
        return [found, "pip", "install", "--quiet", "--python-platform", "x86_64-manylinux2014"]
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        return [*pip, "--platform", "manylinux2014_x86_64", "--implementation", "cp"]
    raise WheelUnavailableError(lock, "neither uv nor pip is here; `make setup` installs uv")


def _cause(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return " ".join(lines[-4:]).rstrip(".") or "the installer gave no reason"
