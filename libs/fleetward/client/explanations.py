"""Asks why a rollout, or a robot in it, is where it is."""

from __future__ import annotations

from nats.aio.client import Client

from fleetward.bus.requests import ask
from fleetward.contracts.decisions import ExplainRollout, RolloutExplained
from fleetward.contracts.ids import robot_id, rollout_id


async def explained(connection: Client, rollout: str, robot: str | None = None) -> RolloutExplained:
    """What led here and what would move it; every logged decision is made again for the answer.

    Raises RefusedError when there is no such rollout, NoAnswerError, MalformedError.
    """
    wanted = robot_id(robot) if robot is not None else None
    question = ExplainRollout(rollout_id=rollout_id(rollout), robot_id=wanted)
    answer: RolloutExplained = await ask(connection, question)
    return answer
