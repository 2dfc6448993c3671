"""A decision as it is logged, and read back: what it was given, packed, with digests. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import get_args

import msgspec
from msgspec.structs import replace

from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.decisions import (
    LIGHT_DECISIONS_KEPT,
    MAX_LOGGED_BYTES,
    REVISIONS_PER_STANDING,
    Given,
    LoggedFact,
    RolloutDecided,
)
from fleetward.contracts.rollouts import Rollout
from fleetward.contracts.surroundings import Surroundings
from rollout_coordinator.advance import Fact
from rollout_coordinator.fold import Told
from rollout_coordinator.state_digest import StateDigest, effects_digest
from rollout_coordinator.step import Step

PACKING_LEVEL = 1
"""Of zlib: what deflates fastest, as telemetry is logged many times a second."""
LIGHT_PER_ANCHOR = 64
"""Of so many revisions, one says what had been seen before it."""
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
_KINDS: dict[str, type[msgspec.Struct]] = {kind.__name__: kind for kind in get_args(Fact)}


def within_limit(told: Sequence[Told]) -> Sequence[Told]:
    """As many of the facts, at least one, as one decision may be logged with."""
    size_bytes = 0
    for count, (fact, _) in enumerate(told):
        size_bytes += len(encode(fact))
        if size_bytes > MAX_LOGGED_BYTES and count:
            return told[:count]
    return told


def given(told: Sequence[Told], surroundings: Surroundings) -> Given:
    """What a decision on a rollout that exists was made from."""
    facts = tuple(
        LoggedFact(type(fact).__name__, encode(fact), stored_at) for fact, stored_at in told
    )
    return Given(facts=facts, surroundings=surroundings)


def told_by(given: Given) -> list[Told]:
    """The facts again, as the decision was told them; raises UnreadableMessageError."""
    return [(_fact(logged), logged.stored_at) for logged in given.facts]


def logged(
    before: Rollout | None,
    given: Given,
    now: datetime,
    step: Step,
    digests: tuple[StateDigest | None, StateDigest],
) -> RolloutDecided:
    """The decision as it is written with the state that it led to."""
    revision = digests[1].revision
    light = before is not None and is_evidence_alone(before, step)
    if before is not None and _says_evidence(before, revision, is_light=light):
        given = replace(given, evidence=before.evidence)
    elif before is not None and _says_standing(before, revision):
        given = replace(given, standing=encode(replace(before, sharding=None)))
    return RolloutDecided(
        rollout_id=step.rollout.rollout_id,
        slot=f"light-{revision % LIGHT_DECISIONS_KEPT}" if light else str(revision),
        revision=revision,
        decided_at=now,
        before=digests[0].hex if digests[0] is not None else "",
        after=digests[1].hex,
        effects=effects_digest(step),
        given=zlib.compress(encode(given), PACKING_LEVEL),
    )


def unpacked(decision: RolloutDecided) -> Given:
    """What the decision was made from; raises UnreadableMessageError."""
    inflating = zlib.decompressobj()
    try:
        payload = inflating.decompress(decision.given, MAX_UNPACKED_BYTES)
    except zlib.error as error:
        raise UnreadableMessageError(
            f"decision {decision.revision} of rollout {decision.rollout_id} is damaged: {error}."
        ) from error
    return decode(payload, Given)


def is_light(decision: RolloutDecided) -> bool:
    """Whether it counted evidence alone, and will be forgotten."""
    return decision.slot != str(decision.revision)


def is_evidence_alone(before: Rollout, step: Step) -> bool:
    """Whether a decision did nothing but count what telemetry says."""
    if step.events or step.targets or step.rollout.robots is not before.robots:
        return False
    same = replace(step.rollout, evidence=before.evidence, robots={})
    return same == replace(before, robots={})


def _says_evidence(before: Rollout, revision: int, *, is_light: bool) -> bool:
    """Whether the log can be followed from here on, also once light decisions before are forgotten.

    Not in a large rollout, where what was seen of every robot is large too.
    """
    return before.sharding is None and (not is_light or revision % LIGHT_PER_ANCHOR == 0)


def _says_standing(before: Rollout, revision: int) -> bool:
    """Whether a large rollout's log can be followed from here on, whatever before is forgotten."""
    return before.sharding is not None and revision % REVISIONS_PER_STANDING == 0


def _fact(logged: LoggedFact) -> Fact:
    kind = _KINDS.get(logged.kind)
    if kind is None:
        raise UnreadableMessageError(f"nobody here knows facts of the kind {logged.kind}.")
    fact: Fact = decode(logged.payload, kind)  # type: ignore[assignment]  # one of Fact's own kinds
    return fact
