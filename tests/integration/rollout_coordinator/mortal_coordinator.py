"""A coordinator that dies at the write a test names, is started again, and a fleet around it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from fleetward.bus.provision import consumer_config
from fleetward.contracts.catalog import consumers_of
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from testkit.service_process import ServiceProcess
from tests.integration.rollout_coordinator.coordinator_process import environment_of, signing_key
from tests.integration.rollout_coordinator.cut_wire import CutWire
from tests.integration.rollout_coordinator.fleet import Fleet, running_fleet
from tests.integration.rollout_coordinator.write_points import writes

NAMES = ("berlin-1", "berlin-2", "paris-1")
ACK_WAIT_S = 1.0
"""What a dead coordinator held comes again after so long, where the catalog says ten seconds."""
REPOSITORY = Path(__file__).parents[3]


class Mortal(Struct, frozen=True):
    """A fleet that serves version 1, and the wire on which its coordinator dies."""

    fleet: Fleet
    wire: CutWire


@asynccontextmanager
async def mortal_coordinator(system: NatsSystem, directory: Path) -> AsyncIterator[Mortal]:
    """Both, as real processes on a real server; at the end nothing unheard of had been written."""
    await _come_again_soon(system)
    wire = CutWire(system.port, lambda: _kill(process))
    key = signing_key(directory / "keys")
    process = ServiceProcess(
        "tests.integration.rollout_coordinator.restarted_coordinator",
        directory / "mortal",
        {
            **environment_of(system, directory / "mortal", key),
            "FLEETWARD_NATS_URL": f"nats://127.0.0.1:{await wire.start()}",
            "PYTHONPATH": str(REPOSITORY),
        },
    )
    await process.start()
    try:
        async with running_fleet(system, directory / "keys" / "trust", NAMES) as fleet:
            await fleet.give_everybody("1")
            yield Mortal(fleet, wire)
    finally:
        status = await process.stop()
        await wire.stop()
    assert status == 0
    assert wire.strange == []
    assert wire.seen <= writes()


def _kill(process: ServiceProcess) -> None:
    assert process.child is not None
    process.child.send(signal.SIGUSR1)


async def _come_again_soon(system: NatsSystem) -> None:
    jetstream = (await system.connect(Principal.PROVISIONER)).jetstream()
    for row in consumers_of(Principal.COORDINATOR):
        soon = consumer_config(row).evolve(ack_wait=ACK_WAIT_S)
        await jetstream.add_consumer(row.stream.value, soon)
