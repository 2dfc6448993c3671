"""Gives a robot labels and takes them away; needs the rights of the enroller."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timezone

from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.enrolled import enrolled_robot
from fleetward.bus.errors import ConflictError
from fleetward.bus.publish import publish
from fleetward.client.errors import UnknownRobotError
from fleetward.contracts.fleet_facts import check_labels
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotEnrolled

MAX_ATTEMPTS = 5


async def label(
    connection: Client, robot: RobotId, given: Mapping[str, str], taken: Collection[str]
) -> RobotEnrolled:
    """Set the labels ``given``, remove those ``taken``; what others set meanwhile is kept.

    Raises LabelError, UnknownRobotError, ConflictError when others kept labelling it.
    """
    for attempt in range(MAX_ATTEMPTS):
        held = await enrolled_robot(connection, robot)
        if held is None:
            raise UnknownRobotError(
                f"No robot is called {robot}. `fleetward robot list` shows those that are enrolled."
            )
        kept = {name: value for name, value in held.event.labels.items() if name not in taken}
        labels = {**kept, **given}
        check_labels(labels)
        if labels == held.event.labels:
            return held.event
        now = datetime.now(timezone.utc)
        changed = replace(held.event, labels=labels, enrolled_at=now)
        try:
            await publish(connection, changed, after=held.sequence)
        except ConflictError:
            if attempt + 1 == MAX_ATTEMPTS:
                raise
            continue
        return changed
    raise AssertionError("the last attempt returned or raised")
