"""What an update would cost, asked before anything of it moves."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.event import Event
from fleetward.contracts.ids import Digest, ModelName, ModelRef, Version

MAX_HELD_SETS = 256
"""Robots that hold the same models are quoted once; a fleet has far fewer kinds of robot."""


class Quote(Struct, frozen=True, kw_only=True):
    """What a robot that holds one set of models would fetch, in its first attempt.

    ``delta_base``: the model whose delta is the cheapest way; None: chunks, or nothing at all.
    """

    fetch_bytes: int
    delta_base: Digest | None = None


class QuoteUpdate(Event, frozen=True, kw_only=True):
    """Asks what a published version would cost robots that hold these sets of models."""

    name: ModelName
    version: Version
    held: tuple[tuple[Digest, ...], ...]


class UpdateQuoted(Event, frozen=True, kw_only=True):
    """The registry's answer: a quote for each set, in the order they were given."""

    model: ModelRef
    digest: Digest
    size_bytes: int
    quotes: tuple[Quote, ...]
