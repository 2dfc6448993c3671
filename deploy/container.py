"""One process of the system in a container: the same programs and settings as `fleetward up`.

    container.py prepare          once: keys, credentials and configuration into /state
    container.py provision        once, with the servers up: streams, consumers, the robots' enrolment
    container.py run NAME         one process, until it ends; SIGTERM and SIGINT are passed on

While NAME is ready a file says so: the health check needs no Python. Every container shares one
network of its own (docker-compose.yml), so ports are fixed here.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from fleetward.bus.connection import BusSettings, close, connect
from fleetward.bus.provision import provision
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.registry import DEFAULT_BUCKET
from fleetward.contracts.rows import Principal
from fleetward.local import nats_server, object_store
from fleetward.local.enrolment import enrol
from fleetward.local.home import Addresses, Connection, Home
from fleetward.local.programs import Programs, Settings, fleet, nats_url
from fleetward.local.readiness import Notified, Probed
from fleetward.local.replaced_keys import void_replaced
from fleetward.local.supervised import Part
from fleetward.trust.identities import Identities, principals
from fleetward.trust.private_files import write_private

NATS_PORT = 4222
STORE_PORTS = object_store.StorePorts(master=9333, volume=8080, filer=8888, s3=8333, admin=23646)
FRAMES = Path("/frames")
READY_FILE = Path("/tmp/ready")  # noqa: S108 - a tmpfs of this container alone
NO_SUPERVISOR = 0


class Site:
    """What lies in the volume: one system, whose processes are containers."""

    def __init__(self, path: Path, robots: int) -> None:
        self.home = Home(path)
        self.home.prepare()
        self.robots = fleet(robots, {"FLEETWARD_FRAMES_DIR": str(FRAMES)})
        self.addresses = Addresses(
            nats_port=NATS_PORT, store_ports=STORE_PORTS, store_keys=self._store_keys()
        )
        self.identities = Identities(self.home.keys, self.home.credentials)

    def prepare(self) -> None:
        """Write everything that the processes read; what is there already stays good."""
        for principal in principals():
            self.identities.issue(principal)
        nats_server.prepare(self.home.nats, NATS_PORT, self.identities.server_trust())
        object_store.prepare(self.home.seaweedfs, self.addresses.store_keys)
        self.parts()

    async def provision(self) -> None:
        """Make what the servers hold, then say how operators reach them."""
        connection = await connect(self._bus(Principal.PROVISIONER))
        await provision(connection)
        await close(connection)
        connection = await connect(self._bus(Principal.ENROLLER))
        await void_replaced(connection, nats_url(self.addresses), self.home.keys, self.identities)
        await enrol(connection, self.robots, self.identities)
        await close(connection)
        self.home.write_connection(self._connection())

    def parts(self) -> dict[str, Part]:
        """Every process by its name."""
        settings = Settings(home=self.home.path, robots=self.robots)
        programs = Programs(settings, self.home, self.addresses, self.identities)
        notifying = [*programs.services(), *programs.bridges()]
        return {
            nats_server.NAME: self._nats(),
            object_store.NAME: self._store(),
            **{each.name: Part(command=each, readiness=Notified()) for each in notifying},
        }

    def _nats(self) -> Part:
        log = self.home.log(nats_server.NAME)
        return Part(
            command=nats_server.command(self.home.nats, log),
            readiness=Probed(lambda: nats_server.listening(NATS_PORT)),
        )

    def _store(self) -> Part:
        log, keys = self.home.log(object_store.NAME), self.addresses.store_keys
        return Part(
            command=object_store.command(self.home.seaweedfs, STORE_PORTS, log),
            readiness=Probed(lambda: object_store.listening(STORE_PORTS, keys)),
        )

    def _bus(self, principal: Principal) -> BusSettings:
        return BusSettings(
            url=nats_url(self.addresses),
            credentials=self.identities.issue(principal),
            name=principal.value,
        )

    def _connection(self) -> Connection:
        operator = self.addresses.store_keys.operator
        return Connection(
            nats_url=nats_url(self.addresses),
            s3_endpoint=STORE_PORTS.endpoint,
            s3_access_key=operator.access_key,
            s3_secret_key=operator.secret_key,
            s3_bucket=DEFAULT_BUCKET,
            supervisor_pid=NO_SUPERVISOR,
        )

    def _store_keys(self) -> object_store.StoreKeys:
        file = self.home.keys / "store-keys.json"
        if not file.exists():
            write_private(file, msgspec.json.encode(object_store.StoreKeys.create()))
        return msgspec.json.decode(file.read_bytes(), type=object_store.StoreKeys)


async def run(part: Part, ready_file: Path) -> int:
    """Run the process to its end and return its exit status; ``ready_file`` is there while ready."""
    ready_file.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        *part.command.arguments,
        cwd=part.command.directory,
        env={**os.environ, **part.command.environment, **part.readiness.environment()},
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.send_signal, number)
    watching = loop.create_task(_mark_ready(part, ready_file))
    status = await process.wait()
    watching.cancel()
    ready_file.unlink(missing_ok=True)
    return status if status >= 0 else 128 - status


async def _mark_ready(part: Part, ready_file: Path) -> None:
    await part.readiness.ready()
    ready_file.touch()


def parser() -> argparse.ArgumentParser:
    """What may be asked for on the command line."""
    asked = argparse.ArgumentParser(prog="container.py", description=__doc__)
    asked.add_argument("--home", type=Path, default=Path("/state"))
    asked.add_argument("--ready-file", type=Path, default=READY_FILE)
    asked.add_argument("--robots", type=int, default=2, help="how many robots belong to it")
    asked.add_argument("action", choices=["prepare", "provision", "run"])
    asked.add_argument("name", nargs="?", help="which process to run")
    return asked


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status of what was asked for."""
    wanted = parser().parse_args(arguments)
    try:
        return _act(wanted, Site(wanted.home, wanted.robots))
    except FleetwardError as error:
        sys.stderr.write(f"container.py: {error}\n")
        return 1


def _act(wanted: argparse.Namespace, site: Site) -> int:
    if wanted.action == "run":
        parts = site.parts()
        if wanted.name not in parts:
            raise FleetwardError(f"no process is called {wanted.name}. There are: {[*parts]}.")
        return asyncio.run(run(parts[wanted.name], wanted.ready_file))
    if wanted.action == "prepare":
        site.prepare()
    else:
        asyncio.run(site.provision())
    return 0


if __name__ == "__main__":
    sys.exit(main())
