"""Whoever holds a robot's credentials: whether the bus lets it in, and what it might sign."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from fleetward.bus.connection import inbox_prefix
from fleetward.contracts.ids import BootId, ModelRef, RobotId, RolloutId, model_name, version
from fleetward.contracts.receipts import SwapReceipt
from testkit.telemetry import digest_of
from tests.integration.enrolment.machines import NAME, Machines

RECEIPT = SwapReceipt(
    robot_id=RobotId(NAME),
    boot_id=BootId("b1"),
    rollout_id=RolloutId("ro-1"),
    generation=3,
    model=ModelRef(model_name("detector"), version("1.4.0")),
    digest=digest_of("a"),
    inferences=20,
    swap_ms=4.0,
    signed_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
)


def cannot_connect(made: Machines, credentials: Path) -> None:
    """The server says that it does not believe them."""
    with pytest.raises(nats.errors.Error, match="Authorization"):
        asyncio.run(connects(made, credentials))


async def connects(made: Machines, credentials: Path) -> bool:
    """Try the bus once, with these credentials."""
    connection = await connect(made, credentials, asyncio.Event())
    await connection.close()
    return True


async def connect(made: Machines, credentials: Path, closed: asyncio.Event) -> Client:
    """The bus, as whoever holds ``credentials``; ``closed`` once it let go of us for good."""

    async def over() -> None:
        closed.set()

    return await nats.connect(
        made.system.url,
        user_credentials=str(credentials),
        inbox_prefix=inbox_prefix(NAME),
        allow_reconnect=False,
        reconnect_time_wait=0,
        closed_cb=over,
    )
