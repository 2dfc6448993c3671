"""An operator's client on a real server, and the coordinator's credentials to play its part."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client

from fleetward.client import Fleet
from fleetward.client.access import Access
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem


@pytest.fixture
async def coordinator(shared_nats_system: NatsSystem) -> Client:
    """A connection that may write what the coordinator writes."""
    return await shared_nats_system.connect(Principal.COORDINATOR)


@pytest.fixture
async def fleet(shared_nats_system: NatsSystem) -> AsyncIterator[Fleet]:
    """An operator's client."""
    access = Access(bus=shared_nats_system.settings(Principal.OPERATOR))
    async with Fleet.connect(access=access) as connected:
        yield connected


@pytest.fixture
def home_of(tmp_path: Path) -> Callable[[NatsSystem], Path]:
    """Writes the home directory that ``fleetward up`` would have left for a server."""

    def write(system: NatsSystem) -> Path:
        system.credentials(Principal.OPERATOR)
        system.credentials(Principal.PROVISIONER)
        file = {
            "nats_url": system.url,
            "s3_endpoint": "http://127.0.0.1:9",
            "s3_access_key": "nobody",
            "s3_secret_key": "nothing",
        }
        (tmp_path / "connection.json").write_bytes(msgspec.json.encode(file))
        (tmp_path / "credentials").symlink_to(system.directory / "credentials")
        return tmp_path

    return write
