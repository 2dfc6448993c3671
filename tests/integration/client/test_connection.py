"""A connection that was closed leaves nothing running behind."""

from __future__ import annotations

import asyncio

from fleetward.bus.connection import close, connect
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem


async def test_closing_ends_the_watch_over_the_reader(shared_nats_system: NatsSystem) -> None:
    connection = await connect(shared_nats_system.settings(Principal.OPERATOR))
    assert "bus-reader-watch" in {task.get_name() for task in asyncio.all_tasks()}
    await close(connection)
    assert "bus-reader-watch" not in {task.get_name() for task in asyncio.all_tasks()}
