"""Makes the decisions of a log again with the code that made them, and compares the bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.decisions import Given, RolloutDecided
from fleetward.contracts.rollout_rows import split
from fleetward.contracts.rollouts import Rollout
from rollout_coordinator.advance import begun
from rollout_coordinator.decision_log import told_by, unpacked
from rollout_coordinator.fold import Told, folded
from rollout_coordinator.state_digest import StateDigest, digest_after, digest_of, effects_digest
from rollout_coordinator.step import Step
from rollout_coordinator.waiting import given_up


class Replayed(Struct, frozen=True):
    """One decision, made again. ``before`` is None for the first of a rollout."""

    decision: RolloutDecided
    given: Given
    told: tuple[Told, ...]
    before: Rollout | None
    after: Rollout


class Difference(Struct, frozen=True):
    """Where a log cannot be followed any further, and why."""

    revision: int
    reason: str


class _Reached(Struct, frozen=True):
    """The rollout after a decision, with its digest."""

    rollout: Rollout
    digest: StateDigest


def replayed(log: Iterable[RolloutDecided]) -> Iterator[Replayed | Difference]:
    """Every decision in turn; a Difference is the last.

    Decisions on evidence that are forgotten leave a gap. It reaches to the next decision that says what
    had been seen until then, or how all of the rollout stood: those between are left out. Raises
    UnreadableMessageError.
    """
    at: _Reached | None = None
    lost: Difference | None = None
    for decision in sorted(log, key=lambda each: each.revision):
        given = unpacked(decision)
        if not _follows(at, decision, given):
            lost = lost or _lost(at, decision)
            continue
        lost = None
        before = _before(at, decision, given)
        if isinstance(before, Difference):
            yield before
            return
        made, told = _made(before, decision, given)
        reached = _reached(before, made)
        reason = _difference(decision, reached, effects_digest(made))
        if reason:
            yield Difference(decision.revision, reason)
            return
        held = before.rollout if before is not None else None
        yield Replayed(decision, given, tuple(told), held, reached.rollout)
        at = reached
    if lost is not None:
        yield lost


def _follows(at: _Reached | None, decision: RolloutDecided, given: Given) -> bool:
    """Whether it is known what the decision was made on."""
    if given.planned or given.standing:
        return True
    is_next = at is not None and at.rollout.revision + 1 == decision.revision
    return is_next or (at is not None and given.evidence is not None)


def _lost(at: _Reached | None, decision: RolloutDecided) -> Difference:
    """The first decision that is not made again; the log may go on further down."""
    if at is None:
        return Difference(decision.revision, "the first decisions are no longer kept")
    since = at.rollout.revision
    return Difference(decision.revision, f"the decisions since {since} are no longer kept")


def _before(
    at: _Reached | None, decision: RolloutDecided, given: Given
) -> _Reached | Difference | None:
    """What the decision was made on; None for the first."""
    if given.planned:
        return None
    if at is None or at.rollout.revision + 1 != decision.revision:
        at = _resumed(at, decision, given)
    if at.digest.hex != decision.before:
        return Difference(decision.revision, "it was made on another state than the log leads to")
    return at


def _resumed(at: _Reached | None, decision: RolloutDecided, given: Given) -> _Reached:
    """What a decision after a gap says that it was made on."""
    if given.standing:
        standing = decode(given.standing, Rollout)
    else:
        assert at is not None, "evidence alone follows on something"
        assert given.evidence is not None, "it follows"
        standing = replace(at.rollout, evidence=given.evidence, revision=decision.revision - 1)
    return _Reached(standing, digest_of(standing))


def _made(
    before: _Reached | None, decision: RolloutDecided, given: Given
) -> tuple[Step, list[Told]]:
    """The decision, made again."""
    if before is None:
        planned = decode(given.planned, Rollout)
        return begun(planned, decision.decided_at, given.surroundings), []
    if given.given_up:
        return given_up(before.rollout, given.given_up, decision.decided_at), []
    told = told_by(given)
    step, _ = folded(before.rollout, told, decision.decided_at, given.surroundings)
    return step, told


def _reached(before: _Reached | None, made: Step) -> _Reached:
    """The rollout as the next decision reads it."""
    rollout = replace(made.rollout, revision=made.rollout.revision + 1)
    stored = split(rollout, before.rollout if before is not None else None)
    digest = digest_after(stored, before.digest if before is not None else None)
    whole = stored.whole
    return _Reached(whole if whole.sharding else decode(encode(whole), Rollout), digest)


def _difference(decision: RolloutDecided, reached: _Reached, effects: str) -> str:
    if reached.rollout.revision != decision.revision:
        return f"it leads to revision {reached.rollout.revision}"
    if reached.digest.hex != decision.after:
        return "made again, it leads to another state than was written"
    if effects != decision.effects:
        return "made again, it announces or orders something else than was written"
    return ""
