"""Says what a release of the bridge is; runs only in the limited process of ``model_file``."""

from __future__ import annotations

from pathlib import Path

from fleetward.contracts.bridge_release import BRIDGE_FORMAT, told_extras
from fleetward.releases.archive import ArchiveError, check
from model_registry.verdicts import Inspection, Refusal


def inspect(path: Path) -> Inspection | Refusal:
    """Every wheel hashed and its directory read; nothing of it is unpacked or run."""
    try:
        lock = check(path)
    except ArchiveError as problem:
        return Refusal(reason=f"The file is no sound release of the bridge: {problem}".rstrip("."))
    return Inspection(
        format=BRIDGE_FORMAT,
        opset=0,
        inputs=(),
        outputs=(),
        metadata={
            "version": lock.version,
            "python": lock.python,
            "arch": lock.arch,
            "glibc": lock.glibc,
            **told_extras(lock.extras),
        },
    )
