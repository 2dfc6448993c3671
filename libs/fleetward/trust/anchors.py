"""What enrolment leaves in a robot's trust directory: the root it begins with, and what was newest then."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from fleetward.contracts.trust import RoleName
from fleetward.trust.errors import RootRefusedError
from fleetward.trust.floors import Anchor
from fleetward.trust.private_files import write_private

ROOT_FILE = "root.json"
FLOORS_FILE = "floors.json"


class _Floors(Struct, frozen=True, kw_only=True):
    """floors.json. versions: role -> version."""

    at: datetime
    versions: dict[RoleName, int]


def read_anchor(trust_dir: Path) -> Anchor:
    """root.json and, where versions were pinned, floors.json; raises RootRefusedError."""
    path, pinned = trust_dir / ROOT_FILE, trust_dir / FLOORS_FILE
    try:
        root = path.read_bytes()
        if not pinned.exists():
            return Anchor(root=root)
        floors = msgspec.json.decode(pinned.read_bytes(), type=_Floors)
    except (OSError, msgspec.MsgspecError) as error:
        raise RootRefusedError(
            f"this robot has no usable {ROOT_FILE} and {FLOORS_FILE} in {trust_dir}: {error}. Enrol "
            "it: fleetward keys export-root"
        ) from error
    return Anchor(root=root, floors=floors.versions, at=floors.at)


def write_anchor(trust_dir: Path, anchor: Anchor) -> None:
    """Leave ``anchor`` for a robot to find; each file whole or not there."""
    _write(trust_dir / ROOT_FILE, anchor.root)
    _write(trust_dir / FLOORS_FILE, floors_file(anchor))


def floors_file(anchor: Anchor) -> bytes:
    """floors.json as it is to lie beside the root."""
    return msgspec.json.encode(_Floors(at=anchor.at, versions=anchor.floors))


def _write(path: Path, content: bytes) -> None:
    write_private(path, content)
    path.chmod(0o644)  # nothing here is secret
