"""Where a running system is and who we are to it: from its home directory or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from fleetward.bus.connection import BusSettings
from fleetward.client.errors import NoSystemError
from fleetward.contracts.registry import DEFAULT_BUCKET
from fleetward.contracts.rows import Principal

CONNECTION_FILE = "connection.json"
DEFAULT_HOME = Path(".fleetward")
"""Looked for in the current directory and above it; any other home is where it says."""


class StoreAccess(Struct, frozen=True, kw_only=True):
    """Where uploads go, and the key that may put them there."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str = DEFAULT_BUCKET


class Access(Struct, frozen=True, kw_only=True):
    """One principal's way into one system. Without ``store`` no model can be pushed."""

    bus: BusSettings
    store: StoreAccess | None = None
    traces_dir: Path | None = None


def nearest_home(home: Path, *, start: Path | None = None, user_id: int | None = None) -> Path:
    """Where the default home of a running system is, as git looks for its own; others as given.

    A home above ``start`` (default: the current directory) counts only when ``user_id`` (default:
    ours) owns it: in /tmp anybody could leave one, and would be sent our models.
    """
    if home != DEFAULT_HOME:
        return home
    start = start or Path.cwd()
    user_id = os.getuid() if user_id is None else user_id
    for directory in (start, *start.parents):
        found = directory / home
        runs = os.path.isfile(found / CONNECTION_FILE)  # noqa: PTH113 (never raises)
        if runs and (directory == start or found.stat().st_uid == user_id):
            return found
    return home


def read_access(home: Path, principal: Principal = Principal.OPERATOR) -> Access:
    """The way into the system of ``home``; without one there, FLEETWARD_* variables are read.

    The default home is looked for upwards, see ``nearest_home``. Raises NoSystemError when there
    is neither.
    """
    home = nearest_home(home)
    path = home / CONNECTION_FILE
    try:
        return _from_file(path.read_bytes(), home, principal)
    except FileNotFoundError:
        return _from_environment(os.environ, home, principal)
    except (OSError, msgspec.MsgspecError) as error:
        raise NoSystemError(
            f"{path} cannot be used ({error}). Start the system again: fleetward up --home {home}"
        ) from error


class ConnectionFile(Struct, frozen=True, kw_only=True):
    """The part of a home's connection file that a client needs; ``fleetward up`` writes it (0600)."""

    nats_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    s3_bucket: str = DEFAULT_BUCKET


def _from_file(content: bytes, home: Path, principal: Principal) -> Access:
    file = msgspec.json.decode(content, type=ConnectionFile)
    return Access(
        bus=BusSettings(
            url=file.nats_url,
            credentials=home / "credentials" / f"{principal.value}.creds",
            name=principal.value,
        ),
        store=StoreAccess(
            endpoint=file.s3_endpoint,
            access_key=file.s3_access_key,
            secret_key=file.s3_secret_key,
            bucket=file.s3_bucket,
        ),
        traces_dir=home / "traces",
    )


def _from_environment(environment: Mapping[str, str], home: Path, principal: Principal) -> Access:
    url, credentials = (
        environment.get(name, "") for name in ("FLEETWARD_NATS_URL", "FLEETWARD_CREDENTIALS")
    )
    if not url or not credentials:
        raise NoSystemError(_not_found(home))
    traces_dir = environment.get("FLEETWARD_TRACES_DIR")
    return Access(
        bus=BusSettings(url=url, credentials=Path(credentials), name=principal.value),
        store=_store_from_environment(environment),
        traces_dir=Path(traces_dir) if traces_dir else None,
    )


def _not_found(home: Path) -> str:
    if home == DEFAULT_HOME:
        return (
            f"No system runs here: there is no {home / CONNECTION_FILE} in {Path.cwd()} nor, of "
            "yours, in a directory above it. Start one with `fleetward up`, or say where it is "
            "with --home, FLEETWARD_HOME, or FLEETWARD_NATS_URL and FLEETWARD_CREDENTIALS."
        )
    return (
        f"No system runs from {home}: there is no {home / CONNECTION_FILE}. Start one with "
        f"`fleetward up --home {home}`, or set FLEETWARD_NATS_URL and FLEETWARD_CREDENTIALS."
    )


def _store_from_environment(environment: Mapping[str, str]) -> StoreAccess | None:
    names = ("FLEETWARD_S3_ENDPOINT", "FLEETWARD_S3_ACCESS_KEY", "FLEETWARD_S3_SECRET_KEY")
    endpoint, access_key, secret_key = (environment.get(name, "") for name in names)
    if not endpoint or not access_key or not secret_key:
        return None
    return StoreAccess(
        endpoint=endpoint,
        access_key=access_key,
        secret_key=secret_key,
        bucket=environment.get("FLEETWARD_S3_BUCKET") or DEFAULT_BUCKET,
    )
