"""Keys and a first root on disk, made in one go; nothing that is there already is made again.

For one machine this is all. For a fleet, the root keys are made apart and each is kept elsewhere:
``fleetward keys``.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from fleetward.trust.private_files import make_private_dir
from fleetward.trust.roles import COMMANDS, ONLINE_ROLES, ROOT, RULES
from fleetward.trust.roots import RootPlan, expiry, first_root, sign_root
from fleetward.trust.signing import SigningKey

ROOT_KEYS = 3
THRESHOLD = 2


def key_at(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """The key in ``path``, made now if there is none; raises SigningKeyError."""
    if not path.exists():
        return SigningKey.create(path, passphrase)
    return SigningKey.load(path, (lambda _: passphrase) if passphrase is not None else None)


def root_key_paths(directory: Path, count: int = ROOT_KEYS) -> list[Path]:
    """Where the root keys of one directory lie."""
    return [directory / f"root-{number}.key" for number in range(1, count + 1)]


def online_key_path(directory: Path, role: str) -> Path:
    """Where the registry finds its key for a role."""
    return directory / f"{role}.key"


def first_signed_root(
    root_keys: Path,
    online_keys: Path,
    commands: SigningKey,
    now: datetime,
    *,
    rules: SigningKey | None = None,
    count: int = ROOT_KEYS,
    threshold: int = THRESHOLD,
    passphrase: bytes | None = None,
) -> bytes:
    """A first root with ``count`` root keys, signed by as many as it asks for; makes missing keys.

    ``commands`` is the coordinator's key, ``rules`` alerting's. Root keys are sealed with ``passphrase``; without one
    they are as plain as those of the services, which must read theirs unattended. Raises SigningKeyError, RootRefusedError.
    """
    make_private_dir(root_keys)
    make_private_dir(online_keys)
    owners = [key_at(path, passphrase) for path in root_key_paths(root_keys, count)]
    online = {role: key_at(online_key_path(online_keys, role)) for role in ONLINE_ROLES}
    plan = RootPlan(
        keys={
            ROOT: tuple(key.public_bytes for key in owners),
            COMMANDS: (commands.public_bytes,),
            RULES: (rules.public_bytes,) if rules else (),
            **{role: (key.public_bytes,) for role, key in online.items()},
        },
        threshold=threshold,
        expires=expiry(now),
    )
    root = first_root(plan)
    for key in owners[:threshold]:
        root = sign_root(root, key)
    return root
