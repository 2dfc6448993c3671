"""Steers a rollout, and says what became of it: asking is not yet obeying."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from fleetward.bus.errors import NoAnswerError
from fleetward.bus.waiting import within
from fleetward.cli.people import asking
from fleetward.client.errors import ClientError
from fleetward.client.rollouts import new_rollout_id, start
from fleetward.contracts.control import AbortMode, ControlAction
from fleetward.contracts.ids import RobotId, model_selector
from fleetward.contracts.rollouts import FINAL_STATES, Rollout, RolloutRequested, RolloutState
from fleetward.contracts.selectors import MAX_SELECTOR_CHARACTERS
from fleetward.contracts.steering import to_retry, why_not
from fleetward.contracts.wording import how_many

if TYPE_CHECKING:
    from fleetward.client import Fleet

OBEYED_TIMEOUT_S = 10.0

_OBEYED = {
    ControlAction.PAUSE: {RolloutState.PAUSED},
    ControlAction.RESUME: {RolloutState.RUNNING},
    ControlAction.ABORT: {RolloutState.REVERTING, RolloutState.ABORTED},
}
"""What a coordinator of before words were remembered is known by to have obeyed."""


class NotSteerableError(ClientError):
    """The rollout is past the point where it could have obeyed; nothing was changed."""


async def steer(
    fleet: Fleet,
    rollout: str,
    action: ControlAction,
    abort: AbortMode = AbortMode.REVERT,
    *,
    to_all: bool = False,
    skip: bool = False,
) -> Rollout:
    """Ask, and return the state that obeyed.

    Raises NotSteerableError when it could not, or ended first, NoAnswerError when no coordinator
    obeyed in time.
    """
    _refuse_past_steering(await fleet.rollout(rollout), action, to_all=to_all)
    word = await fleet.control_rollout(
        rollout, action, abort=abort, to_all=to_all, skip=skip, requested_by=asking()
    )
    try:
        obeyed = await within(_settled(fleet, rollout, action, word), OBEYED_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise NoAnswerError(
            f"Rollout {rollout} was asked to {action.value} and has not done so within "
            f"{OBEYED_TIMEOUT_S:g} s. Is rollout-coordinator running, and not older than this command? "
            "The request is kept and will be obeyed then."
        ) from None
    if obeyed.word is None or obeyed.word.word != word:
        _refuse_past_steering(obeyed, action, to_all=to_all)
    elif obeyed.word.refused and obeyed.state not in _OBEYED.get(action, set()):
        raise NotSteerableError(obeyed.word.refused)
    return obeyed


async def retried(fleet: Fleet, rollout: str) -> Rollout:
    """Robots that failed or are unknown are given the model again; a rollout that ended by a new one.

    Raises as ``steer`` does, RolloutRefusedError, and NotSteerableError for more robots than a selector
    can name.
    """
    before = await fleet.rollout(rollout)
    if before.state not in FINAL_STATES:
        return await steer(fleet, rollout, ControlAction.RETRY)
    robots = to_retry(before)
    if not robots:
        raise NotSteerableError(
            f"Rollout {rollout} has ended, {before.state.value}, and none of its robots failed or is "
            "unknown: nothing to retry. `fleetward rollout start` begins another."
        )
    request = RolloutRequested(
        rollout_id=new_rollout_id(),
        model=model_selector(str(before.model)),
        selector=_naming(robots, before),
        strategy=before.strategy,
        policy=before.policy,
        requested_by=asking(),
        requested_at=datetime.now(timezone.utc),
        again=True,
        together=tuple(model_selector(str(each.model)) for each in before.together),
    )
    return await start(fleet.connection, request)


def _naming(robots: Sequence[RobotId], before: Rollout) -> str:
    selector = f"robot in ({', '.join(robots)})"
    if len(selector) <= MAX_SELECTOR_CHARACTERS:
        return selector
    back = f"take the model back with `fleetward rollout rollback {before.rollout_id}`, or "
    raise NotSteerableError(
        f"Rollout {before.rollout_id} leaves {how_many(len(robots), 'robot')} to retry, and to name them takes "
        f"{len(selector)} characters where a selector holds at most {MAX_SELECTOR_CHARACTERS}: "
        f"{back if before.state is RolloutState.SUCCEEDED else ''}roll another model out to them by a "
        f"label, then start {before.model} for that label."
    )


async def _settled(fleet: Fleet, rollout: str, action: ControlAction, word: str) -> Rollout:
    """The first state that heard the word, that obeys, or from which it no longer can."""

    def is_settled(shown: Rollout) -> bool:
        heard = shown.word is not None and shown.word.word == word
        ended = shown.state in FINAL_STATES and action is not ControlAction.ROLLBACK
        return heard or ended or shown.state in _OBEYED.get(action, set())

    async for shown in fleet.watch_rollout(rollout, is_settled):
        last = shown
    return last


def _refuse_past_steering(rollout: Rollout, action: ControlAction, *, to_all: bool) -> None:
    if rollout.state in _OBEYED.get(action, set()):
        return
    reason = why_not(rollout, action, to_all=to_all)
    if reason:
        raise NotSteerableError(reason)


async def heard_within(heard: Coroutine[Any, Any, Rollout], rollout: str) -> Rollout:
    """The rollout that took a word in; raises NoAnswerError when none did in time."""
    try:
        return await within(heard, OBEYED_TIMEOUT_S)
    except asyncio.TimeoutError:
        raise NoAnswerError(
            f"Nobody took in the word on rollout {rollout} within {OBEYED_TIMEOUT_S:g} s. Is "
            "rollout-coordinator running? It is kept and will be heard then."
        ) from None
