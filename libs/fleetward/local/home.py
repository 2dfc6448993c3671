"""One directory holds everything a local system keeps, and one supervisor at a time uses it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import msgspec
from msgspec import Struct

from fleetward.local.errors import HomeInUseError, LocalSystemError
from fleetward.local.object_store import SERVERS, StoreKeys, StorePorts
from fleetward.local.ports import GRPC_OFFSET, free_port, free_port_pairs, is_free
from fleetward.trust.private_files import make_private_dir, write_private

_OPEN_DIRS = ("logs", "traces", "rules", "robots", "trust", "telemetry", "demo", "bench")
_PRIVATE_DIRS = ("credentials", "keys", "nats", "seaweedfs")


class Connection(Struct, frozen=True, kw_only=True):
    """What connection.json says: how an operator on this machine reaches the running system."""

    nats_url: str
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: str
    s3_bucket: str
    supervisor_pid: int


class Addresses(Struct, frozen=True, kw_only=True):
    """Kept from start to start: ports (clients keep reconnecting to them) and store keys."""

    nats_port: int
    store_ports: StorePorts
    store_keys: StoreKeys


class Home:
    """Paths below the state directory; nothing else composes them."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.connection_file = self.path / "connection.json"
        self.credentials = self.path / "credentials"
        self.keys = self.path / "keys"
        self.trust = self.path / "trust"
        self.nats = self.path / "nats"
        self.seaweedfs = self.path / "seaweedfs"
        self.rules = self.path / "rules"
        self.frames = self.path / "frames"
        self.robots = self.path / "robots"
        self.logs = self.path / "logs"
        self.traces = self.path / "traces"
        self._addresses_file = self.path / "addresses.json"

    def log(self, process: str) -> Path:
        """The log of one process."""
        return self.logs / f"{process}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the directory for this process; raises HomeInUseError. The kernel lets go for the dead."""
        with self._lock_file() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                raise HomeInUseError(
                    f"{self.path} is in use by process {file.read().strip() or 'unknown'}. "
                    "Stop it, or start with another --home."
                ) from error
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def prepare(self) -> None:
        """Make every directory that is not there; raises LocalSystemError."""
        with self._usable():
            make_private_dir(self.path)
            for name in _OPEN_DIRS:
                (self.path / name).mkdir(exist_ok=True)
            for name in _PRIVATE_DIRS:
                make_private_dir(self.path / name)

    def addresses(self) -> Addresses:
        """Last time's addresses where they are still free, otherwise new ones; remembered."""
        kept = self._kept_addresses()
        addresses = Addresses(
            nats_port=kept.nats_port if kept and is_free(kept.nats_port) else free_port(),
            store_ports=kept.store_ports if kept and _free(kept.store_ports) else _new_ports(),
            store_keys=kept.store_keys if kept else StoreKeys.create(),
        )
        write_private(self._addresses_file, msgspec.json.encode(addresses))
        return addresses

    def write_connection(self, connection: Connection) -> None:
        """Say how to reach the system; written last, when everything is ready."""
        write_private(self.connection_file, msgspec.json.encode(connection))

    def remove_connection(self) -> None:
        """Nobody can be reached here any more."""
        self.connection_file.unlink(missing_ok=True)

    def _lock_file(self) -> TextIO:
        with self._usable():
            make_private_dir(self.path)
            return (self.path / "lock").open("a+", encoding="ascii")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise LocalSystemError(
                f"the state directory {self.path} cannot be used: {error}. Choose another --home."
            ) from error

    def _kept_addresses(self) -> Addresses | None:
        try:
            return msgspec.json.decode(self._addresses_file.read_bytes(), type=Addresses)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise LocalSystemError(
                f"{self._addresses_file} is damaged ({error}). Remove it to choose new addresses."
            ) from error


def _new_ports() -> StorePorts:
    return StorePorts(**dict(zip(SERVERS, free_port_pairs(len(SERVERS)), strict=True)))


def _free(ports: StorePorts) -> bool:
    numbers = [getattr(ports, server) for server in SERVERS]
    return all(is_free(number) and is_free(number + GRPC_OFFSET) for number in numbers)
