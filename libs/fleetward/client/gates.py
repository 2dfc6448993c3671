"""Says yes or no to a rollout that waits for people, for the very plan that was looked at."""

from __future__ import annotations

from datetime import datetime, timezone
from secrets import token_hex

from nats.aio.client import Client

from fleetward.bus.publish import publish
from fleetward.client.errors import ClientError
from fleetward.client.rollouts import state
from fleetward.contracts.gates import (
    MAX_COMMENT_CHARACTERS,
    MAX_PERSON_CHARACTERS,
    GateKind,
    RolloutApproved,
    Verdict,
)
from fleetward.contracts.ids import RolloutId
from fleetward.contracts.rollouts import Rollout


class NotApprovableError(ClientError):
    """Nothing waits there for this person's word; nothing was said."""


async def approve(
    connection: Client,
    wanted: RolloutId,
    by: str,
    *,
    is_approved: bool = True,
    gate: str = "",
    comment: str = "",
) -> RolloutApproved:
    """Publish a word on what waits now; returns it. Raises NotApprovableError, UnknownRolloutError."""
    rollout = await state(connection, wanted)
    problem = too_long(by, comment) or why_no_word(rollout, by, gate)
    if problem:
        raise NotApprovableError(problem)
    word = RolloutApproved(
        rollout_id=wanted,
        digest=rollout.digest,
        plan=rollout.plan,
        checkpoint=rollout.checkpoint,
        gate=gate,
        is_approved=is_approved,
        comment=comment,
        approved_by=by,
        approved_at=datetime.now(timezone.utc),
    )
    await publish(connection, word, message_id=token_hex(16))
    return word


def too_long(by: str, comment: str) -> str:
    """Which part of a word is longer than the record takes; empty: none."""
    for what, text, limit in (
        ("name", by, MAX_PERSON_CHARACTERS),
        ("comment", comment, MAX_COMMENT_CHARACTERS),
    ):
        if len(text) > limit:
            return f"The {what} has {len(text)} characters; at most {limit} are kept. Shorten it."
    return ""


def is_heard(rollout: Rollout, word: RolloutApproved) -> bool:
    """Whether the rollout took the word in: it shows at a gate, or the rollout is past it."""
    if rollout.checkpoint != word.checkpoint:
        return True
    said = f"{word.approved_by} said no"
    return any(
        word.approved_by in held.approved_by or held.reason.startswith(said)
        for name, held in rollout.gates.items()
        if word.gate in ("", name)
    )


def open_approvals(rollout: Rollout) -> tuple[str, ...]:
    """The gates that wait for people now, by name."""
    kinds = {gate.name: gate.kind for gate in rollout.policy.gates}
    return tuple(
        name
        for name, held in rollout.gates.items()
        if kinds.get(name) is GateKind.APPROVAL and held.verdict is not Verdict.PASSED
    )


def why_no_word(rollout: Rollout, by: str, gate: str) -> str:
    """Why a word by this person would change nothing now; empty: it would be heard."""
    here = f"Rollout {rollout.rollout_id}"
    waiting = open_approvals(rollout)
    if not waiting:
        return f"{here} waits for nobody's approval; it is {rollout.state.value}."
    if gate and gate not in waiting:
        return f"{here} has no gate {gate!r} that waits; waiting are: {', '.join(waiting)}."
    if by == rollout.requested_by:
        return f"{here} was asked for by {by}: somebody else has to approve it."
    asked = [rollout.gates[name] for name in waiting if gate in ("", name)]
    if all(held.verdict is Verdict.REFUSED for held in asked):
        return (
            f"{here} is refused ({asked[0].reason}), and a no stands. `fleetward rollout resume "
            f"{rollout.rollout_id}` asks everybody anew."
        )
    return ""
