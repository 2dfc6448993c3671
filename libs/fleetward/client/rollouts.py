"""Starts rollouts, steers them, and follows them to their end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timezone
from secrets import token_hex

from nats.aio.client import Client

from fleetward.bus.errors import NoAnswerError
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.bus.stored_rollouts import read_rollout, read_rollouts
from fleetward.bus.tracing import span
from fleetward.bus.waiting import within
from fleetward.client.errors import (
    RolloutIdTakenError,
    RolloutRefusedError,
    RolloutTimeoutError,
    UnknownRolloutError,
)
from fleetward.client.live import LiveFacts, live_facts
from fleetward.contracts.control import AbortMode, ControlAction, RolloutControlRequested
from fleetward.contracts.ids import RolloutId, rollout_id
from fleetward.contracts.policies import check_policy
from fleetward.contracts.rollout_index import RolloutRefused
from fleetward.contracts.rollouts import FINAL_STATES, Rollout, RolloutRequested
from fleetward.contracts.selectors import parse_selector

DECISION_TIMEOUT_S = 30.0
LOOK_AGAIN_FIRST_S = 0.05
LOOK_AGAIN_S = 2.0
"""How long a live view may be blind (a reconnect, a lost message) before the state is read."""
LOOKS_FOR_A_HEARD_REVISION = 5
LOOK_PAUSE_S = 0.02


def new_rollout_id() -> RolloutId:
    """An id nobody else has chosen."""
    return rollout_id(f"r-{token_hex(6)}")


async def start(
    connection: Client, request: RolloutRequested, *, timeout_s: float = DECISION_TIMEOUT_S
) -> Rollout:
    """Ask for a rollout and wait until the coordinator decided; asking twice is harmless.

    The trace of the whole rollout begins here. Raises MalformedError before anybody is asked,
    RolloutRefusedError with the reason, RolloutIdTakenError, NoAnswerError when no coordinator decided
    in time.
    """
    parse_selector(request.selector)
    check_policy(request.policy)
    wanted = request.rollout_id
    with span("rollout.start", rollout_id=wanted, model=str(request.model)):
        async with (
            live_facts(connection, Rollout, rollout_id=wanted) as states,
            live_facts(connection, RolloutRefused, rollout_id=wanted) as refusals,
        ):
            earlier = await last_value(connection, RolloutRefused, rollout_id=wanted)
            refused_before = earlier.sequence if earlier else 0
            await publish(connection, request, message_id=f"{wanted}-{refused_before}")
            deciding = _decision(connection, wanted, states, refusals, refused_before)
            try:
                decided = await within(deciding, timeout_s)
            except asyncio.TimeoutError:
                raise NoAnswerError(
                    f"No coordinator decided on rollout {wanted} within {timeout_s:g} s. Is "
                    "rollout-coordinator running? The request is kept and will be decided then."
                ) from None
    other = asked_otherwise(request, decided)
    if other:
        raise RolloutIdTakenError(
            f"{wanted} is the id of a rollout that was asked for with another {other}; that one is "
            f"{decided.state.value} and stays as it is. Choose another id."
        )
    return decided


def asked_otherwise(request: RolloutRequested, rollout: Rollout) -> str:
    """In what a request differs from the one that its rollout was made of; empty: in nothing."""
    version = request.model.version or rollout.model.version  # an alias may have moved since
    pairs = (
        ("model", (request.model.name, version), (rollout.model.name, rollout.model.version)),
        ("set of models", *_sets(request, rollout)),
        ("selector", request.selector, rollout.selector or request.selector),
        ("strategy", request.strategy, rollout.strategy),
        ("policy", request.policy, rollout.policy),
    )
    return ", ".join(name for name, asked, held in pairs if asked != held)


def _sets(request: RolloutRequested, rollout: Rollout) -> tuple[list[str], list[str]]:
    """The further models that were asked for, and those of the rollout; an alias means what it meant then."""
    held = {each.model.name: each.model for each in rollout.together}
    asked = [
        str(held.get(each.name, each)) if each.alias else str(each) for each in request.together
    ]
    return asked, [str(each) for each in held.values()]


async def control(
    connection: Client,
    wanted: RolloutId,
    action: ControlAction,
    *,
    abort: AbortMode = AbortMode.REVERT,
    to_all: bool = False,
    skip: bool = False,
    requested_by: str = "",
) -> str:
    """Ask something of a rollout; the word by which its state tells that it heard.

    Raises UnknownRolloutError.
    """
    await state(connection, wanted)
    word = token_hex(16)
    request = RolloutControlRequested(
        rollout_id=wanted,
        action=action,
        abort=abort,
        to_all=to_all,
        skip=skip,
        word=word,
        requested_by=requested_by,
        requested_at=datetime.now(timezone.utc),
    )
    await publish(connection, request, message_id=word)
    return word


async def state(connection: Client, wanted: RolloutId) -> Rollout:
    """A rollout as it stands; raises RolloutRefusedError or UnknownRolloutError."""
    known = await _known(connection, wanted)
    if known is None:
        raise UnknownRolloutError(
            f"No rollout has the id {wanted}. `fleetward rollout list` shows those that exist."
        )
    return known


async def states(connection: Client) -> list[Rollout]:
    """Every rollout as it stands, the newest first."""
    kept = await read_rollouts(connection)
    return sorted((each.event for each in kept), key=lambda held: held.started_at, reverse=True)


def has_ended(rollout: Rollout) -> bool:
    """Whether it reached a final state."""
    return rollout.state in FINAL_STATES


async def watch(
    connection: Client, wanted: RolloutId, until: Callable[[Rollout], bool] = has_ended
) -> AsyncIterator[Rollout]:
    """A rollout as it stands and then as it changes, at first until it reached a final state.

    What is heard live means only 'look now': the server passes a batch on before it decides to
    keep it, and hears nothing for us in a subscription's first milliseconds. So every state shown
    was read from the stream, soon at first, and a lost message costs seconds.
    Raises RolloutRefusedError or UnknownRolloutError.
    """
    async with live_facts(connection, Rollout, rollout_id=wanted) as changes:
        shown = await state(connection, wanted)
        yield shown
        wait_s = LOOK_AGAIN_FIRST_S
        while not until(shown):
            heard = await changes.next(wait_s)
            wait_s = min(2 * wait_s, LOOK_AGAIN_S)
            stored = await _stored(connection, wanted, heard.revision if heard else 0)
            if stored is not None and stored.revision > shown.revision:
                shown = stored
                yield shown


async def wait(connection: Client, wanted: RolloutId, *, timeout_s: float | None = None) -> Rollout:
    """The rollout in its final state; raises RolloutTimeoutError, which leaves it running."""
    try:
        return await within(_last(connection, wanted), timeout_s)
    except asyncio.TimeoutError:
        raise timed_out(wanted, timeout_s or 0.0) from None


def timed_out(wanted: str, timeout_s: float) -> RolloutTimeoutError:
    """The error for whoever waited too long; the rollout goes on."""
    return RolloutTimeoutError(
        f"Rollout {wanted} did not end within {timeout_s:g} s; it goes on. "
        f"Look at it with `fleetward rollout status {wanted}`."
    )


async def _last(connection: Client, wanted: RolloutId) -> Rollout:
    shown = [change async for change in watch(connection, wanted)]
    return shown[-1]


async def _decision(
    connection: Client,
    wanted: RolloutId,
    states: LiveFacts[Rollout],
    refusals: LiveFacts[RolloutRefused],
    refused_before: int,
) -> Rollout:
    """The word on a request: read at once (it may be old), when heard, and every few seconds.

    What is heard is not stored yet, so the first looks follow each other quickly.
    """
    wait_s = LOOK_AGAIN_FIRST_S
    while True:
        known = await _known(connection, wanted, refused_before)
        if known is not None:
            return known
        hearing = [asyncio.ensure_future(states.next()), asyncio.ensure_future(refusals.next())]
        await asyncio.wait(hearing, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        for waiting in hearing:
            waiting.cancel()
        wait_s = min(2 * wait_s, LOOK_AGAIN_S)


async def _known(connection: Client, wanted: RolloutId, refused_before: int = 0) -> Rollout | None:
    """The stored rollout; raises RolloutRefusedError for a refusal newer than ``refused_before``."""
    kept = await read_rollout(connection, wanted)
    if kept is not None:
        return kept.event
    refused = await last_value(connection, RolloutRefused, rollout_id=wanted)
    if refused is not None and refused.sequence > refused_before:
        raise RolloutRefusedError(refused.event.reason)
    return None


async def _stored(connection: Client, wanted: RolloutId, revision: int) -> Rollout | None:
    """The stored state, given a moment to reach ``revision``; None while nobody can be asked."""
    stored: Rollout | None = None
    for _ in range(LOOKS_FOR_A_HEARD_REVISION):
        try:
            kept = await read_rollout(connection, wanted)
        except NoAnswerError:
            return stored
        stored = kept.event if kept is not None else None
        if stored is not None and stored.revision >= revision:
            break
        await asyncio.sleep(LOOK_PAUSE_S)
    return stored
