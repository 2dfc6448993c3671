"""Which open rollout owns each robot, or a pipeline of it, and under which epoch."""

from __future__ import annotations

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.bus.stored_rollouts import read_rollouts
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.ownership import owners as robots_owned
from fleetward.contracts.places import Place
from fleetward.contracts.rollout_index import OpenRollouts


class Ownership(Struct, frozen=True):
    """The owner of one model's place on a robot. ``epoch`` is the generation it was last given; an older one is refused."""

    owner: RolloutId
    epoch: int


async def owners(connection: Client) -> dict[RobotId, dict[Place, Ownership]]:
    """Each robot that open rollouts own, or pipelines of which they do; raises NoAnswerError."""
    index = await last_value(connection, OpenRollouts)
    kept = await read_rollouts(connection, index.event.rollouts if index else ())
    held: dict[RobotId, dict[Place, Ownership]] = {}
    for (robot, place), rollout in robots_owned(each.event for each in kept).items():
        owned = Ownership(rollout.rollout_id, rollout.robots[robot].generation)
        held.setdefault(robot, {})[place] = owned
    return held
