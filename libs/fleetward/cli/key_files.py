"""Key and root files as the ``fleetward keys`` commands read and write them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetward.cli.plain import Plain
    from fleetward.trust.rotation import Addition
    from fleetward.trust.signing import SigningKey


def public_file_of(path: Path) -> Path:
    """Where the public half of a key lies: beside it, and fit to be handed around."""
    return path.with_suffix(".pub")


def create_key(path: Path, passphrase: bytes | None) -> SigningKey:
    """A new key and its public file; raises SigningKeyError when there is one."""
    from fleetward.trust.signing import SigningKey

    key = SigningKey.create(path, passphrase)
    write_public(path, key)
    return key


def write_public(path: Path, key: SigningKey) -> None:
    """The public file of the key in ``path``."""
    public_file_of(path).write_text(key.public_bytes.hex() + "\n", encoding="ascii")


def read_root_file(path: Path) -> bytes:
    """The root in ``path``; raises RootRefusedError."""
    from fleetward.trust.errors import RootRefusedError
    from fleetward.trust.roots import read_root

    try:
        root = path.read_bytes()
    except OSError as error:
        raise RootRefusedError(f"the root {path} cannot be read: {error.strerror}.") from error
    try:
        read_root(root)
    except RootRefusedError as error:
        raise RootRefusedError(f"{path}: {error}") from error
    return root


def write_root_file(path: Path, root: bytes) -> None:
    """Whole or not at all."""
    from fleetward.trust.private_files import write_private

    write_private(path, root)
    path.chmod(0o644)


def first_root_in(directory: Path, count: int, threshold: int, passphrase: bytes | None) -> bytes:
    """Make every key of a new system in ``directory``, and its first root, signed; what is there stays.

    Root keys are sealed with ``passphrase``. Raises SigningKeyError, RootRefusedError.
    """
    from datetime import datetime, timezone

    from fleetward.trust.ceremony import first_signed_root, key_at, root_key_paths

    commands, rules = directory / "commands.key", directory / "rules.key"
    root = first_signed_root(
        directory,
        directory / "online",
        key_at(commands),
        datetime.now(timezone.utc),
        rules=key_at(rules),
        count=count,
        threshold=threshold,
        passphrase=passphrase,
    )
    for path in (commands, rules, *root_key_paths(directory, count)):
        write_public(path, key_at(path, passphrase))
    write_root_file(directory / "root.json", root)
    return root


def addition(text: str) -> Addition:
    """``ROLE=FILE.pub``; raises MalformedError, SigningKeyError."""
    from fleetward.contracts.errors import MalformedError
    from fleetward.trust.rotation import Addition
    from fleetward.trust.signing import read_public

    role, equals, path = text.partition("=")
    if not equals:
        raise MalformedError(f"--add {text!r} is not ROLE=FILE.pub.")
    return Addition(role, read_public(Path(path)))


def described(root: bytes, previous: bytes | None = None) -> Plain:
    """A root as ``--json`` shows it."""
    from fleetward.trust.roles import ROOT
    from fleetward.trust.roots import missing_signatures, plan_of, read_root
    from fleetward.trust.rotation import shown_id

    plan = plan_of(root)
    return {
        "version": read_root(root).signed.version,
        "expires": plan.expires.isoformat(),
        "threshold": plan.threshold,
        "keys": {role: [shown_id(key) for key in keys] for role, keys in plan.keys.items()},
        "signed_by": sorted(key_id[:16] for key_id in read_root(root).signatures),
        "missing": missing_signatures(root, previous) or "",
        "root_keys": len(plan.keys[ROOT]),
        "previous_checked": previous is not None or read_root(root).signed.version == 1,
    }
