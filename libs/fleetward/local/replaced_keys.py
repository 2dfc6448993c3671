"""What robots replaced opens nothing any more: the issuer learns of it from the bus, and tells the server.

A robot's new key counts before its old one is void, so nothing here is urgent. It is done where the issuer's
keys are: by ``fleetward up`` as it happens, and by every command that enrols or removes.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import nats
import nats.errors
from nats.aio.client import Client

from fleetward.bus.connection import inbox_prefix
from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_values
from fleetward.bus.logs import log
from fleetward.bus.waiting import happens
from fleetward.contracts.catalog import row_of
from fleetward.contracts.robot_keys import RobotKeysChanged
from fleetward.local.alone import alone_at
from fleetward.trust.identities import SYSTEM, Identities
from fleetward.trust.resolver import AccountRefusedError, push_accounts

_logger = logging.getLogger(__name__)

ISSUING_LOCK = "issuing.lock"
LOOK_S = 600.0
"""How often it is looked at even if nobody said that a key changed."""
SPACING_S = 1.0
"""Between two looks: many robots may renew at once, and the server is told of them together."""


async def tell_server(url: str, identities: Identities) -> None:
    """Have the server at ``url`` know who is void now; raises AccountRefusedError, nats.errors.Error."""
    system = await nats.connect(
        url,
        user_credentials=str(identities.issue_system()),
        inbox_prefix=inbox_prefix(SYSTEM),
        allow_reconnect=False,  # whoever asks holds a lock, and asks again
    )
    try:
        await push_accounts(system, identities.server_trust())
    finally:
        await system.close()


async def void_replaced(enroller: Client, url: str, keys_dir: Path, identities: Identities) -> bool:
    """Void what robots replaced since this was done last; whether there was any.

    Raises BusError, AccountRefusedError.
    """
    values = await last_values(enroller, RobotKeysChanged)
    async with alone_at(keys_dir / ISSUING_LOCK):
        news = [identities.follow(value.event) for value in values]
        if any(news):
            await tell_server(url, identities)
            identities.told()
    return any(news)


async def keep_voiding(enroller: Client, url: str, keys_dir: Path, identities: Identities) -> None:
    """Do so for ever, as soon as a robot has replaced its key."""
    changed = asyncio.Event()

    async def heard(_: object) -> None:
        changed.set()

    await enroller.subscribe(row_of(RobotKeysChanged).pattern, cb=heard)
    while True:
        changed.clear()
        try:
            await void_replaced(enroller, url, keys_dir, identities)
        except (BusError, AccountRefusedError, nats.errors.Error, OSError) as problem:
            log(_logger, "keys.not_voided", level=logging.WARNING, reason=str(problem))
            changed.set()
        await asyncio.sleep(SPACING_S)
        await happens(changed, LOOK_S)
