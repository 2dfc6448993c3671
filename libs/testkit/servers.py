"""Real servers for tests: NATS with the catalog's streams and real credentials, and an S3 store.

Fixtures (a conftest names this module in ``pytest_plugins``):

- ``nats_system``: a fresh server per test. ``shared_nats_system``: one per test module.
- ``object_store``: a fresh SeaweedFS per test module.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import nats
import pytest
from nats.aio.client import Client

from fleetward.bus.connection import BusSettings, close, connect, inbox_prefix
from fleetward.bus.provision import provision
from fleetward.contracts.ids import RobotId
from fleetward.contracts.registry import DEFAULT_BUCKET
from fleetward.contracts.rows import Principal
from fleetward.local import nats_server
from fleetward.local import object_store as store
from fleetward.local.child import Child
from fleetward.local.ports import free_port, free_port_pairs
from fleetward.trust.identities import Identities
from fleetward.trust.resolver import push_accounts

START_TIMEOUT_S = 60.0
STOP_GRACE_S = 10.0
START_ATTEMPTS = 5

Result = TypeVar("Result")


class NatsSystem:
    """A running nats-server in operator mode, provisioned from the catalog.

    ``url`` and ``credentials(who)`` are what a service is started with; ``connect(who)`` is a
    guarded connection as one principal or robot. A str names a robot, which is enrolled (given
    credentials) on first use.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.identities = Identities(directory / "keys", directory / "credentials")
        self.port = 0
        self._child: Child | None = None
        self._connections: list[Client] = []

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._child is not None
        return self._child.pid

    def credentials(self, who: Principal | RobotId | str) -> Path:
        """The credentials file of a principal, or of a robot by its id."""
        if isinstance(who, Principal):
            return self.identities.issue(who)
        return self.identities.issue_robot(who)

    def settings(self, who: Principal | RobotId | str) -> BusSettings:
        """What ``fleetward.bus.connection.connect`` needs to be ``who``."""
        name = who.value if isinstance(who, Principal) else who
        return BusSettings(
            url=self.url, credentials=self.credentials(who), name=name, reconnect_wait_s=0.1
        )

    async def connect(self, who: Principal | RobotId | str, **callbacks: Any) -> Client:  # noqa: ANN401 (connect's own callbacks)
        """Connect as ``who``; the test need not close it. callbacks: those of ``connect``."""
        callbacks.setdefault("on_closed", _nothing)
        connection = await connect(self.settings(who), **callbacks)
        self._connections.append(connection)
        return connection

    async def start(self) -> None:
        """Start the server and provision the catalog's streams and consumers."""
        for _ in range(START_ATTEMPTS):
            self.port = free_port()
            nats_server.prepare(self.directory / "nats", self.port, self.identities.server_trust())
            if await self._launch():
                break
        else:
            raise RuntimeError(f"nats-server did not start; see {self._log}")
        connection = await self.connect(Principal.PROVISIONER)
        await provision(connection)
        await self._close(connection)

    async def kill(self) -> None:
        """kill -9 the server; clients keep trying to reconnect."""
        assert self._child is not None
        self._child.send(signal.SIGKILL)
        await self._child.wait()

    async def restart(self) -> None:
        """Start the server again on the same port and the same state."""
        assert await self._launch(), f"nats-server did not start again; see {self._log}"

    async def stop(self) -> None:
        """Stop the server (connections of finished event loops are left to die with it)."""
        if self._child is not None and self._child.running:
            await self._child.stop(STOP_GRACE_S)

    async def close_connections(self) -> None:
        """Close every connection that ``connect`` made in the running event loop."""
        for connection in list(self._connections):
            await self._close(connection)

    async def revoke(self, robot: str) -> None:
        """Take a robot's credentials away, on the running server too."""
        self.identities.void(self.identities.held_public(RobotId(robot)))
        self.identities.forget_robot(RobotId(robot))
        system = await nats.connect(
            self.url,
            user_credentials=str(self.identities.issue_system()),
            inbox_prefix=inbox_prefix("system"),
        )
        try:
            await push_accounts(system, self.identities.server_trust())
        finally:
            await system.close()

    async def _launch(self) -> bool:
        """Whether the server came up; False when it ended at once (its port was taken)."""
        self._child = Child.start(nats_server.command(self.directory / "nats", self._log))
        return await up_before_exit(self._child, nats_server.listening(self.port))

    async def _close(self, connection: Client) -> None:
        self._connections.remove(connection)
        if not connection.is_closed:
            await close(connection)

    @property
    def _log(self) -> Path:
        return self.directory / "nats-server.log"


class ObjectStore:
    """A running SeaweedFS with the product's bucket and keys."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.keys = store.StoreKeys.create()
        self.bucket = DEFAULT_BUCKET
        self._child: Child | None = None

    @property
    def endpoint(self) -> str:
        """Where S3 clients connect to."""
        return self.ports.endpoint

    async def start(self) -> None:
        """Start the store and make its bucket."""
        store.prepare(self.directory, self.keys)
        for _ in range(START_ATTEMPTS):
            numbers = free_port_pairs(len(store.SERVERS))
            self.ports = store.StorePorts(**dict(zip(store.SERVERS, numbers, strict=True)))
            if await self._launch():
                return
        raise RuntimeError(f"SeaweedFS did not start; see {self.directory}/seaweedfs.log")

    async def restart(self) -> None:
        """Start the store again on the same ports and the same state."""
        assert await self._launch()

    async def kill(self) -> None:
        """kill -9 the store."""
        assert self._child is not None
        self._child.send(signal.SIGKILL)
        await self._child.wait()
        store.remove_sockets(self.ports)

    async def stop(self) -> None:
        """Stop the store."""
        if self._child is not None and self._child.running:
            await self._child.stop(STOP_GRACE_S)
        store.remove_sockets(self.ports)

    async def _launch(self) -> bool:
        log = self.directory / "seaweedfs.log"
        self._child = Child.start(store.command(self.directory, self.ports, log))
        return await up_before_exit(self._child, store.listening(self.ports, self.keys))


async def up_before_exit(child: Child, ready: Awaitable[None]) -> bool:
    """Whether ``ready`` came before the process ended; raises TimeoutError."""
    waiting = [asyncio.ensure_future(ready), asyncio.ensure_future(child.wait())]
    done, pending = await asyncio.wait(
        waiting, timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
    )
    for task in pending:
        task.cancel()
    if not done:
        await child.stop(0)
        raise TimeoutError(f"a server was not ready within {START_TIMEOUT_S} s")
    return waiting[0] in done


@asynccontextmanager
async def running_nats(directory: Path) -> AsyncIterator[NatsSystem]:
    """A NatsSystem for the length of a block."""
    system = NatsSystem(directory)
    await system.start()
    try:
        yield system
    finally:
        await system.close_connections()
        await system.stop()


@pytest.fixture
async def nats_system(tmp_path: Path) -> AsyncIterator[NatsSystem]:
    """A fresh provisioned server for one test."""
    async with running_nats(tmp_path / "system") as system:
        yield system


@pytest.fixture(scope="module")
def module_nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsSystem]:
    """One provisioned server for a module; use ``shared_nats_system``."""
    system = NatsSystem(tmp_path_factory.mktemp("system"))
    _run(system.start)
    yield system
    _run(system.stop)


@pytest.fixture
async def shared_nats_system(module_nats_server: NatsSystem) -> AsyncIterator[NatsSystem]:
    """The module's server; connections made by a test are closed after it."""
    yield module_nats_server
    await module_nats_server.close_connections()


@pytest.fixture(scope="module")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One real S3 store for a module."""
    running = ObjectStore(tmp_path_factory.mktemp("objects"))
    _run(running.start)
    yield running
    _run(running.kill)  # an orderly end takes it a second, and nobody reads what it kept


def _run(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run to the end outside any test's event loop."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(_awaited(work))
    finally:
        loop.close()


async def _awaited(work: Callable[[], Awaitable[Result]]) -> Result:
    return await work()


async def _nothing() -> None:
    """A refused connection must not end the test run."""
