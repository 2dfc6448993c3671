"""Many facts of a large rollout in the order of its shards, so that each decision writes few of them. Pure.

When thousands of robots switch at one instant they speak in any order: a few hundred of them are of all shards.
"""

from __future__ import annotations

from collections.abc import Sequence

from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollout_rows import ROBOTS_PER_SHARD
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.telemetry import InferenceSummarized
from rollout_coordinator.fold import Told


def shard_by_shard(rollout: Rollout, told: Sequence[Told]) -> Sequence[Told]:
    """What robots of one shard say, one shard after the other; before it what nobody of them says.

    What two of one shard say stays in its order. So does what is no more than a shard's robots could say at once,
    and all telemetry: robots are compared as of one moment.
    """
    is_telemetry = any(isinstance(fact, InferenceSummarized) for fact, _ in told)
    if len(told) <= ROBOTS_PER_SHARD or is_telemetry:
        return told
    shards = {robot: at // ROBOTS_PER_SHARD for at, robot in enumerate(rollout.robots)}
    return sorted(told, key=lambda each: shards.get(getattr(each[0], "robot_id", RobotId("")), -1))
