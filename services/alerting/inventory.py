"""Who belongs to the fleet and who is alive: last values at start, live subscriptions after.

The live subscriptions begin first, so nothing falls between the two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleetward.bus.deliveries import decode_from
from fleetward.bus.last_values import last_values
from fleetward.bus.logs import log
from fleetward.contracts.alerts import AlertBecameUnknown, AlertFired, AlertResolved
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import UnreadableMessageError
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.rules.incidents import Incident, IncidentKey, restore

_logger = logging.getLogger(__name__)

_E = TypeVar("_E", bound=Event)


async def read_incidents(connection: Client) -> dict[IncidentKey, Incident]:
    """Every incident, as the bus last heard of it."""
    fired = await last_values(connection, AlertFired)
    resolved = await last_values(connection, AlertResolved)
    unknown = await last_values(connection, AlertBecameUnknown)
    return restore(
        (value.event for value in fired),
        (value.event for value in resolved),
        (value.event for value in unknown),
    )


async def read_enrolled(connection: Client) -> list[RobotEnrolled]:
    """Every robot that is or was of the fleet."""
    return [value.event for value in await last_values(connection, RobotEnrolled)]


async def read_known(connection: Client) -> set[RobotId]:
    """Robots that checked in at least once, ever."""
    return {value.event.robot_id for value in await last_values(connection, RobotCheckedIn)}


async def listen_live(connection: Client, event: type[_E], heard: Callable[[_E], None]) -> None:
    """Call ``heard`` with each ``event`` published from now on; unreadable ones are dropped.

    Dropping is safe here: enrolments are stored and read again, and a check-in that cannot be
    read proves nothing.
    """

    async def received(message: Msg) -> None:
        try:
            fact = decode_from(message.subject, message.data)
        except UnreadableMessageError as error:
            log(_logger, "message.unreadable", level=logging.WARNING, error=str(error))
            return
        if isinstance(fact, event):
            heard(fact)

    await connection.subscribe(row_of(event).pattern, cb=received)
