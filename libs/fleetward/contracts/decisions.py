"""Why a rollout is where it is: the log of its decisions, and the question that reads it."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.evidence import Evidence
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.surroundings import Surroundings

MAX_LOGGED_BYTES = 512 * 1024
"""Facts of one decision, before they are packed; a decision takes fewer facts rather than more."""
LIGHT_DECISIONS_KEPT = 1024
"""Of a rollout, the newest decisions that changed nothing but evidence."""
REVISIONS_PER_STANDING = LIGHT_DECISIONS_KEPT // 2
"""Of a large rollout, one revision in so many says how all of it stood: one of those kept always does."""


class LoggedFact(Struct, frozen=True, array_like=True):
    """A fact as a decision was told it: its kind, its bytes, and when the server stored it."""

    kind: str
    payload: bytes
    stored_at: UtcTime


class Given(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything a decision was made from beside the rollout as it stood.

    facts: those that changed something, in order; one that changed nothing leaves no trace in what
    follows. The first decision has the request and ``planned``, the rollout as it was planned;
    ``excluded`` says why robots that the selector names, or that nobody knows, are not in it.
    given_up: why a rollout that waited can not begin any more, by a plan that was made then.
    ``evidence``: what the rollout had seen, when the decisions before it may be forgotten;
    ``standing``: of a large one, now and then, the whole rollout as it stood.
    """

    facts: tuple[LoggedFact, ...] = ()
    surroundings: Surroundings = Surroundings()
    planned: bytes = b""
    request: bytes = b""
    excluded: dict[RobotId, str] = {}
    given_up: str = ""
    evidence: Evidence | None = None
    standing: bytes = b""


class RolloutDecided(Event, frozen=True, kw_only=True):
    """One decision with what it was made from, so that it can be made again and compared.

    slot: the revision; of a decision that changed evidence alone, one of a bounded number of places.
    before, after: SHA-256 of the whole rollout, its revision included. effects: of the facts announced
    and the targets ordered. given: ``Given`` in msgpack, deflated (RFC 1950).
    """

    rollout_id: RolloutId
    slot: str
    revision: int
    decided_at: UtcTime
    before: str = ""
    after: str
    effects: str
    given: bytes


class ExplainRollout(Event, frozen=True, kw_only=True):
    """Why is a rollout here, or why is a robot where it is in it? Changes nothing.

    Every decision that the log holds is made again for the answer.
    """

    rollout_id: RolloutId
    robot_id: RobotId | None = None


class Reason(Struct, frozen=True, kw_only=True):
    """One thing that happened and what it did. ``at``: when it was decided."""

    at: UtcTime
    revision: int
    cause: str
    effect: str


class RolloutExplained(Event, frozen=True, kw_only=True):
    """The answer, in sentences and in parts.

    now: how it stands. moves: what would move it next; empty at the end. why: what led here, oldest
    first, the newest of them where there are many. decisions: those that the log holds. forgotten: those
    that it holds no more. reproduced: those that were made again with the same bytes. difference: the first that was not, or why no
    further one could be made again.
    """

    rollout_id: RolloutId
    robot_id: RobotId | None = None
    now: str
    moves: tuple[str, ...] = ()
    why: tuple[Reason, ...] = ()
    decisions: int = 0
    forgotten: int = 0
    reproduced: int = 0
    difference: str = ""
