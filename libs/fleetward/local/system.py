"""The whole system on one machine, started in order and stopped in the reverse order."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.client import Client

from fleetward.bus.connection import BusSettings, close, connect
from fleetward.bus.provision import provision
from fleetward.bus.waiting import cancelled
from fleetward.client.anchors import current_anchor
from fleetward.contracts.registry import DEFAULT_BUCKET
from fleetward.contracts.rows import Principal
from fleetward.local import nats_server, object_store
from fleetward.local.child import Command
from fleetward.local.enrolment import enrol
from fleetward.local.errors import LocalSystemError, NotReadyError
from fleetward.local.grey_bars import write_grey_bars
from fleetward.local.happenings import Report, SystemReady, SystemStopped, SystemStopping
from fleetward.local.home import Connection, Home
from fleetward.local.programs import Programs, Settings, check_installed, nats_url
from fleetward.local.readiness import Notified, Probed
from fleetward.local.replaced_keys import keep_voiding, void_replaced
from fleetward.local.storage_watch import StorageWatch
from fleetward.local.supervised import Part, ProcessView, Supervised
from fleetward.trust.anchors import write_anchor
from fleetward.trust.identities import Identities, principals

START_ATTEMPTS = 3
STOP_GRACE_S = 15.0
CONNECT_TIMEOUT_S = 20.0


class LocalSystem:
    """A handle on the running system: look at its processes, end one, wait for it to be back."""

    def __init__(self, settings: Settings, home: Home, report: Report) -> None:
        self.home = home
        self._settings = settings
        self._report = report
        self._addresses = home.addresses()
        self._identities = Identities(home.keys, home.credentials)
        self._started: list[list[Supervised]] = []
        self._watching: list[asyncio.Task[None]] = []

    @property
    def nats_url(self) -> str:
        """Where clients connect to the bus."""
        return nats_url(self._addresses)

    def processes(self) -> list[ProcessView]:
        """Every process, in the order of starting."""
        return [process.view() for group in self._started for process in group]

    def process(self, name: str) -> ProcessView:
        """One process by its name; raises LocalSystemError."""
        return self._supervised(name).view()

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to one process; returns the pid it had, for ``ready(after_pid=)``."""
        return self._supervised(name).send(number)

    async def ready(self, name: str, *, after_pid: int = 0) -> ProcessView:
        """Wait until a process is ready, and is not ``after_pid`` any more; raises NotReadyError."""
        return await self._supervised(name).ready(after_pid=after_pid)

    async def start(self) -> None:
        """Start everything; raises FleetwardError, and then nothing is left running."""
        began = time.monotonic()
        check_installed(self._settings)
        self._issue_credentials()
        write_grey_bars(self.home.frames)
        await self._start_servers()
        self._watch(self._storage_watch().run())
        await self._provision()
        self._watch(self._keep_voiding())
        programs = Programs(self._settings, self.home, self._addresses, self._identities)
        await self._start_commands(programs.services())
        await self._pin_what_robots_trust()
        await self._start_commands(programs.bridges())
        self.home.write_connection(self._connection())
        self._report(
            SystemReady(
                home=self.home.path,
                nats_url=self.nats_url,
                s3_endpoint=self._addresses.store_ports.endpoint,
                robots=tuple(robot.robot_id for robot in self._settings.robots),
                after_s=time.monotonic() - began,
            )
        )

    async def stop(self) -> None:
        """Stop everything, last started first."""
        running = sum(bool(process.pid) for process in self.processes())
        self._report(SystemStopping(home=self.home.path, processes=running))
        self.home.remove_connection()
        await cancelled(self._watching)
        while self._started:
            await self._stop_last_group()
        object_store.remove_sockets(self._addresses.store_ports)
        self._report(SystemStopped(home=self.home.path))

    async def _stop_last_group(self) -> None:
        await asyncio.gather(*(process.stop() for process in self._started[-1]))
        self._started.pop()

    def _issue_credentials(self) -> None:
        for principal in principals():
            self._identities.issue(principal)
        self._identities.issue_system()

    async def _start_servers(self) -> None:
        """Start both servers; another program may take a port after it was found free."""
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                await self._start_parts([self._nats_part(), self._store_part()])
                return
            except NotReadyError:
                chosen = self._addresses
                await self._stop_last_group()
                self._addresses = self.home.addresses()
                if chosen == self._addresses or attempt == START_ATTEMPTS:
                    raise

    def _nats_part(self) -> Part:
        home, port = self.home, self._addresses.nats_port
        nats_server.prepare(home.nats, port, self._identities.server_trust())
        return Part(
            command=nats_server.command(home.nats, home.log(nats_server.NAME)),
            readiness=Probed(lambda: nats_server.listening(port)),
        )

    def _storage_watch(self) -> StorageWatch:
        return StorageWatch(
            nats_server.NAME,
            self.home.log(nats_server.NAME),
            self.home.nats,
            lambda: self.kill(nats_server.NAME, signal.SIGTERM),
            self._report,
        )

    def _store_part(self) -> Part:
        home, ports, keys = self.home, self._addresses.store_ports, self._addresses.store_keys
        object_store.prepare(home.seaweedfs, keys)
        return Part(
            command=object_store.command(home.seaweedfs, ports, home.log(object_store.NAME)),
            readiness=Probed(lambda: object_store.listening(ports, keys)),
        )

    async def _provision(self) -> None:
        async with self._connected(Principal.PROVISIONER) as provisioner:
            await provision(provisioner)
        async with self._connected(Principal.ENROLLER) as enroller:
            await void_replaced(enroller, self.nats_url, self.home.keys, self._identities)
            await enrol(enroller, self._settings.robots, self._identities)

    async def _keep_voiding(self) -> None:
        async with self._connected(Principal.ENROLLER) as enroller:
            await keep_voiding(enroller, self.nats_url, self.home.keys, self._identities)

    def _watch(self, endless: Coroutine[Any, Any, None]) -> None:
        self._watching.append(asyncio.get_running_loop().create_task(endless))

    async def _pin_what_robots_trust(self) -> None:
        """A robot that starts for the first time believes nothing older than what is newest now."""
        async with self._connected(Principal.ENROLLER) as enroller:
            anchor = await current_anchor(enroller)
        if anchor is not None:
            write_anchor(self.home.trust, anchor)

    async def _start_commands(self, commands: Sequence[Command]) -> None:
        await self._start_parts(
            [
                Part(
                    command=command,
                    readiness=Notified(),
                    launch=self._settings.launch,
                    stop_grace_s=STOP_GRACE_S,
                )
                for command in commands
            ]
        )

    async def _start_parts(self, parts: Sequence[Part]) -> None:
        group = [Supervised(part, self._report) for part in parts]
        self._started.append(group)
        for process in group:
            process.start()
        await asyncio.gather(*(process.ready() for process in group))

    @asynccontextmanager
    async def _connected(self, principal: Principal) -> AsyncIterator[Client]:
        """A connection that must come about soon: the server is ready."""
        settings = BusSettings(
            url=self.nats_url,
            credentials=self._identities.issue(principal),
            name=principal.value,
        )
        try:
            connection = await asyncio.wait_for(
                connect(settings, on_closed=_closed_for_good), CONNECT_TIMEOUT_S
            )
        except asyncio.TimeoutError as error:
            raise NotReadyError(
                f"{self.nats_url} did not let {principal.value} in within {CONNECT_TIMEOUT_S} s. "
                f"See {self.home.log(nats_server.NAME)}."
            ) from error
        try:
            yield connection
        finally:
            await close(connection)

    def _connection(self) -> Connection:
        key = self._addresses.store_keys.operator
        return Connection(
            nats_url=self.nats_url,
            s3_endpoint=self._addresses.store_ports.endpoint,
            s3_access_key=key.access_key,
            s3_secret_key=key.secret_key,
            s3_bucket=DEFAULT_BUCKET,
            supervisor_pid=os.getpid(),
        )

    def _supervised(self, name: str) -> Supervised:
        processes = [process for group in self._started for process in group]
        for process in processes:
            if process.name == name:
                return process
        known = ", ".join(process.name for process in processes)
        raise LocalSystemError(f"no process is called {name}. There are: {known}.")


async def _closed_for_good() -> None:
    """The supervisor must not exit as a service does; the call in progress fails by itself."""
