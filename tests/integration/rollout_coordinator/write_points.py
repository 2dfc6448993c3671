"""Every message by which a coordinator changes something, named: where a test can have it die.

What a coordinator knows, it has from the server, and it keeps nothing on disk. So how a crash leaves the
world depends on one thing alone: which of its messages reached the server. Whoever cuts it off
before and after each kind of message has cut it off at every write.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from itertools import product

from msgspec import Struct

from fleetward.contracts.catalog import EVENTS, consumers_of, row_of_subject
from fleetward.contracts.rows import Principal

FIRST, MIDDLE, COMMIT = "first of a batch", "middle of a batch", "commit of a batch"
PULL, ANSWER, LATER, NEVER = "pull", "answer", "nak", "term"
ALONE = frozenset({"RobotNudged", "RolloutRefused", "GateAnswered", "DeadLettered"})
"""What a coordinator says by itself; whatever else it says goes in a batch, all of it or nothing."""

BATCH_ID, BATCH_POSITION, BATCH_COMMIT = "Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit"
_READS = ("$JS.API.DIRECT.GET.", "$JS.API.STREAM.INFO.", "$JS.API.CONSUMER.INFO.")
_ANSWERS = ("_INBOX_", "_R_.")
_VERDICTS = {b"+TERM": NEVER, b"-NAK": LATER}


class Phase(enum.Enum):
    """On which side of a message the coordinator dies."""

    BEFORE = "before"
    AFTER = "after"


class Point(Struct, frozen=True):
    """Where a coordinator dies: ``AFTER`` it was handled, and before any answer to it comes back."""

    write: str
    phase: Phase

    def __str__(self) -> str:
        return f"{self.phase.value} {self.write}"


class Sent(Struct, frozen=True):
    """A message on its way to the server."""

    subject: str
    headers: Mapping[str, str]
    payload: bytes


def acknowledged(durable: str) -> str:
    """How "done" to a delivery of this consumer is called."""
    return f"ack of {durable}"


def writes() -> frozenset[str]:
    """Everything that the catalog, and so the server, lets a coordinator write."""
    produced = {row.event.__name__ for row in EVENTS if Principal.COORDINATOR in row.producers}
    acks = {acknowledged(row.durable) for row in consumers_of(Principal.COORDINATOR)}
    return frozenset(
        {FIRST, MIDDLE, COMMIT, PULL, ANSWER, LATER, NEVER, *acks, *(produced & ALONE)}
    )


def points(*of: str) -> list[Point]:
    """Both sides of each of these writes."""
    return [Point(write, phase) for write, phase in product(of, Phase)]


def write_of(sent: Sent) -> str | None:
    """Which write a message is; None for what only reads. Raises UnknownEventError for any other."""
    if sent.subject.startswith(_READS):
        return None
    if sent.subject.startswith("$JS.API.CONSUMER.MSG.NEXT."):
        return PULL
    if sent.subject.startswith("$JS.ACK."):
        verdict = sent.payload.split(b" ")[0]
        return _VERDICTS.get(verdict) or acknowledged(sent.subject.split(".")[3])
    if sent.subject.startswith(_ANSWERS):
        return ANSWER
    if BATCH_ID not in sent.headers:
        return row_of_subject(sent.subject).event.__name__
    if BATCH_COMMIT in sent.headers:
        return COMMIT
    return FIRST if sent.headers[BATCH_POSITION] == "1" else MIDDLE
