"""What one update is made of where so much is held already: chunks, copies, a delta; and its price."""

from __future__ import annotations

import enum

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import DeltaOffer
from fleetward.delivery.delta import Delta
from fleetward.delivery.fetch_plan import (
    Held,
    Step,
    cheapest_offer,
    moved_bytes,
    plan_chunks,
    plan_delta,
)
from fleetward.delivery.manifest import ChunkManifest


class Kind(enum.Enum):
    """Where bytes came from; of several who made a wrong chunk the lowest is doubted first."""

    DELTA = 1
    HELD = 2
    PACK = 3
    ITSELF = 4
    """The file being made, which holds the same chunk further up."""


class Source(Struct, frozen=True):
    """Somebody who gave bytes: a stored object's digest, or a model's."""

    kind: Kind
    digest: Digest

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} {self.digest}"


class Update(Struct, frozen=True, kw_only=True):
    """The sources that are still trusted; ``delta`` None: plain chunks. ``stored`` names its file."""

    target: ChunkManifest
    held: Held
    delta: Delta | None = None
    stored: Digest | None = None

    def steps(self, start: int) -> tuple[Step, ...]:
        """What is still to be done from ``start`` on; raises DeltaError."""
        if self.delta is None or self.stored is None:
            return plan_chunks(self.target, self.held, start)
        return plan_delta(self.target, self.delta, self.stored, self.held, start)

    def offer(self, offers: tuple[DeltaOffer, ...]) -> DeltaOffer | None:
        """The delta to take, None where plain chunks move as little.

        Seen from the update's start, so that an attempt that goes on chooses as the first one did.
        """
        plain_bytes = moved_bytes(plan_chunks(self.target, self.held))
        return cheapest_offer(offers, self.held.keys(), plain_bytes)

    def price(self) -> int:
        """What moves for all of it, besides the chunk manifest and a delta's header."""
        return moved_bytes(self.steps(0))

    def by_delta(self, delta: Delta, stored: Digest) -> Update:
        """The same by a delta; raises DeltaError when it does not fit."""
        by_delta = replace(self, delta=delta, stored=stored)
        by_delta.steps(0)
        return by_delta

    def plain(self) -> Update:
        """The same without its delta."""
        return replace(self, delta=None, stored=None)

    def without(self, source: Source) -> Update | None:
        """The same without one that gave wrong bytes; None when it cannot do without.

        A delta whose base is wrong goes with it.
        """
        if source.kind is Kind.DELTA:
            return self.plain()
        if source.kind is not Kind.HELD:
            return None
        held = {digest: chunks for digest, chunks in self.held.items() if digest != source.digest}
        rest = replace(self, held=held)
        is_base = self.delta is not None and self.delta.header.base == source.digest
        return rest.plain() if is_base else rest
