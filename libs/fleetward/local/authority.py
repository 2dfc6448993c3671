"""A system on one machine gets a root of its own: fine to try things out, not to run a fleet on.

All its root keys lie on this machine, in plain text, in a directory that says so. A fleet's root keys are made
apart (``fleetward keys init``), and its ``root.json`` is put in the place of this one before the
first start.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from fleetward.local.home import Home
from fleetward.trust.anchors import ROOT_FILE
from fleetward.trust.ceremony import first_signed_root, key_at
from fleetward.trust.private_files import write_private
from fleetward.trust.roles import RULES
from fleetward.trust.signing import SigningKey


def root_of(home: Home) -> Path:
    """The root that this system began with, or was last seen to follow."""
    return home.trust / ROOT_FILE


def online_keys_of(home: Home) -> Path:
    """Where the registry's keys lie."""
    return home.keys / "online"


def development_root_keys_of(home: Home) -> Path:
    """Where the root keys lie that were made here."""
    return home.keys / "development-root"


def rules_key_of(home: Home) -> Path:
    """Alerting's key, where it is: a system that began before there was one has none."""
    return home.keys / f"signing-{RULES}.key"


def prepare_root(home: Home, commands: SigningKey) -> None:
    """Make a root and the keys it names, unless there is one; ``commands`` is the coordinator's key."""
    path = root_of(home)
    if path.exists():
        return
    now = datetime.now(timezone.utc)
    root = first_signed_root(
        development_root_keys_of(home),
        online_keys_of(home),
        commands,
        now,
        rules=key_at(rules_key_of(home)),
    )
    write_private(path, root)
    path.chmod(0o644)
