"""What a row of the catalog says: who may publish a fact, where it is kept, who may read it."""

from __future__ import annotations

import enum
import re
from functools import lru_cache

from msgspec import Struct

from fleetward.contracts.event import Event

PLACEHOLDER = re.compile(r"\{(\w+)\}")

DAY_S = 86_400.0
MIB = 1024 * 1024
GIB = 1024 * MIB


class Principal(str, enum.Enum):
    """Who speaks on the bus. Permissions are generated per principal from the catalog."""

    REGISTRY = "model-registry"
    COORDINATOR = "rollout-coordinator"
    INGEST = "telemetry-ingest"
    ALERTING = "alerting"
    ROBOT = "robot"
    OPERATOR = "operator"
    """People and CI: the command line, the console, a pipeline."""
    APPLICATION = "application"
    """A programmer's own program: reads telemetry, raises own alerts."""
    ENROLLER = "enroller"
    PROVISIONER = "provisioner"


PEOPLE = (Principal.OPERATOR, Principal.APPLICATION)
"""Whoever is neither a service nor a robot: people, pipelines, programs."""


class StreamName(str, enum.Enum):
    """The streams; one is one unit of retention, durability and atomic writing."""

    MODELS = "MODELS"
    ROLLOUTS = "ROLLOUTS"
    ROBOTS = "ROBOTS"
    TELEMETRY = "TELEMETRY"
    HEALTH = "HEALTH"
    ALERTS = "ALERTS"
    DEAD_LETTERS = "DEAD_LETTERS"
    HISTORY = "HISTORY"
    RECORDINGS = "RECORDINGS"
    SEGMENTS = "SEGMENTS"
    ENGINES = "ENGINES"
    RULES = "RULES"


class StreamRow(Struct, frozen=True, kw_only=True):
    """How a stream keeps what it is given.

    ``atomic`` streams take all-or-nothing batches with compare-and-set; ``persist_async`` ones
    acknowledge before fsync, so their truth is end to end (the robot's spool).
    ``refuse_when_full``: a new fact is refused rather than the oldest one forgotten.
    ``copies_from``: holds copies of the facts whose row names it as ``history``, and nothing else.
    """

    name: StreamName
    meaning: str
    max_age_s: float
    max_bytes: int
    max_msgs_per_subject: int
    duplicate_window_s: float = 120.0
    atomic: bool = False
    persist_async: bool = False
    refuse_when_full: bool = False
    copies_from: StreamName | None = None


class EventRow(Struct, frozen=True, kw_only=True):
    """One fact: its Struct, its subject, who publishes it, where it is kept, how often it comes.

    ``stream`` None: a core message that is never stored. ``readers`` may read the last value of
    a subject directly; ``listeners`` may subscribe to it live. Robots only ever their own, or
    read what is one for the whole fleet. ``newest_only``: a newer value replaces the older one,
    while other facts of the stream stay. ``history``: the stream that keeps a copy for longer.
    """

    event: type[Event]
    subject: str
    producers: tuple[Principal, ...]
    stream: StreamName | None
    rate: str
    size_limit_bytes: int = 64 * 1024
    readers: tuple[Principal, ...] = ()
    listeners: tuple[Principal, ...] = ()
    newest_only: bool = False
    history: StreamName | None = None

    @property
    def pattern(self) -> str:
        """The subject with every placeholder as ``*``."""
        return PLACEHOLDER.sub("*", self.subject)

    @property
    def kind(self) -> str:
        """The subject without its placeholders: a low-cardinality name for spans and metrics."""
        return PLACEHOLDER.sub("", self.subject).rstrip(".")

    def subject_of(self, event: Event) -> str:
        """The concrete subject of ``event``, from its own fields."""
        return _filled(self.subject, event)


class ConsumerRow(Struct, frozen=True, kw_only=True):
    """One durable, pulled consumer: which facts of which stream go to whom, how patiently."""

    durable: str
    principal: Principal
    stream: StreamName
    events: tuple[type[Event], ...]
    ack_wait_s: float = 30.0
    max_ack_pending: int = 1000
    max_deliver: int = 8


class RequestRow(Struct, frozen=True, kw_only=True):
    """One question and its answer, over core NATS. Robots ask only on their own subject."""

    request: type[Event]
    reply: type[Event]
    subject: str
    responder: Principal
    callers: tuple[Principal, ...]
    timeout_s: float = 10.0

    @property
    def pattern(self) -> str:
        """The subject with every placeholder as ``*``."""
        return PLACEHOLDER.sub("*", self.subject)

    def subject_of(self, request: Event) -> str:
        """The concrete subject of ``request``, from its own fields."""
        return _filled(self.subject, request)


def _filled(subject: str, event: Event) -> str:
    """The subject with every placeholder replaced by the event's field of that name."""
    words, fields = _words_and_fields(subject)
    return words % tuple([_word(getattr(event, field)) for field in fields])


def _word(value: object) -> str:
    return str(value.value if isinstance(value, enum.Enum) else value)


@lru_cache(maxsize=256)
def _words_and_fields(subject: str) -> tuple[str, tuple[str, ...]]:
    """The subject with ``%s`` for every placeholder, and their names."""
    return PLACEHOLDER.sub("%s", subject), tuple(PLACEHOLDER.findall(subject))
