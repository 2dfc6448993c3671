"""Steers a rollout, and says what became of it: asking is not yet obeying."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from fleetward.bus.errors import NoAnswerError
from fleetward.client.errors import ClientError
from fleetward.contracts.rollouts import FINAL_STATES, ControlAction, Rollout, RolloutState

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.rollouts import AbortMode

OBEYED_TIMEOUT_S = 10.0

_OBEYED = {
    ControlAction.PAUSE: {RolloutState.PAUSED},
    ControlAction.RESUME: {RolloutState.RUNNING},
    ControlAction.ABORT: {RolloutState.REVERTING, RolloutState.ABORTED},
}


class NotSteerableError(ClientError):
    """The rollout is past the point where it could have obeyed; nothing was changed."""


async def steer(fleet: Fleet, rollout: str, action: ControlAction, abort: AbortMode) -> Rollout:
    """Ask, and return the state that obeyed.

    Raises NotSteerableError when it ended first, NoAnswerError when no coordinator obeyed in time.
    """
    _refuse_past_steering(await fleet.rollout(rollout), action)
    await fleet.control_rollout(rollout, action, abort=abort, requested_by=asking())
    try:
        obeyed = await asyncio.wait_for(_settled(fleet, rollout, action), OBEYED_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise NoAnswerError(
            f"Rollout {rollout} was asked to {action.value} and has not done so within "
            f"{OBEYED_TIMEOUT_S:g} s. Is rollout-coordinator running? The request is kept and "
            "will be obeyed then."
        ) from None
    _refuse_past_steering(obeyed, action)
    return obeyed


def asking() -> str:
    """Who asks, for the record; a container may run as a user without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


async def _settled(fleet: Fleet, rollout: str, action: ControlAction) -> Rollout:
    """The first state that obeys, or from which it no longer can."""
    async for shown in fleet.watch_rollout(rollout):
        if shown.state in _OBEYED[action] or shown.state is RolloutState.REVERTING:
            return shown
    return shown


def _refuse_past_steering(rollout: Rollout, action: ControlAction) -> None:
    if rollout.state in _OBEYED[action]:
        return
    if rollout.state in FINAL_STATES or rollout.state is RolloutState.REVERTING:
        raise NotSteerableError(past_steering(rollout, action))


def past_steering(rollout: Rollout, action: ControlAction) -> str:
    """Why it is too late to ask for ``action``."""
    how = "is being taken back" if rollout.state is RolloutState.REVERTING else "has ended"
    reason = f" ({rollout.reason})" if rollout.reason else ""
    return (
        f"Rollout {rollout.rollout_id} {how}, {rollout.state.value}{reason}: "
        f"there is nothing left to {action.value}."
    )


async def heard_within(heard: Coroutine[Any, Any, Rollout], rollout: str) -> Rollout:
    """The rollout that took a word in; raises NoAnswerError when none did in time."""
    try:
        return await asyncio.wait_for(heard, OBEYED_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise NoAnswerError(
            f"Nobody took in the word on rollout {rollout} within {OBEYED_TIMEOUT_S:g} s. Is "
            "rollout-coordinator running? It is kept and will be heard then."
        ) from None
