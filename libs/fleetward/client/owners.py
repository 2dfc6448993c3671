"""Which open rollout owns each robot, and under which epoch."""

from __future__ import annotations

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.bus.stored_rollouts import read_rollouts
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.ownership import owners as robots_owned
from fleetward.contracts.rollouts import OpenRollouts


class Ownership(Struct, frozen=True):
    """A robot's owner. ``epoch`` is the generation it was last given; an older one is refused."""

    owner: RolloutId
    epoch: int


async def owners(connection: Client) -> dict[RobotId, Ownership]:
    """Each robot that an open rollout owns; raises NoAnswerError."""
    index = await last_value(connection, OpenRollouts)
    kept = await read_rollouts(connection, index.event.rollouts if index else ())
    owned = robots_owned(each.event for each in kept)
    return {
        robot: Ownership(rollout.rollout_id, rollout.robots[robot].generation)
        for robot, rollout in owned.items()
    }
