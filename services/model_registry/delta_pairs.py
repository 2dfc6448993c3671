"""Decides between which versions a delta is worth preparing, and enters what came of it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from fleetward.contracts.ids import Digest
from fleetward.contracts.registry import DeltaOffer, MergedAdapter, ModelRecord, ModelVersion
from model_registry.publication import RecordStep

MAX_OFFERS_PER_VERSION = 4
"""Offers are kept in the record, which has to hold 500 versions in 4 MiB."""


class Pair(Struct, frozen=True):
    """A delta to prepare; ``merged`` says what made the target out of this base, when it is known."""

    base: ModelVersion
    target: ModelVersion
    merged: MergedAdapter | None = None

    @property
    def digests(self) -> tuple[Digest, Digest]:
        """What the pair is: the bytes it leads from and to."""
        return self.base.manifest.digest, self.target.manifest.digest


def wanted(record: ModelRecord) -> list[Pair]:
    """The deltas that robots are likely to need and that are not offered yet, newest target first.

    Robots are led to the newest version and to those that aliases name; they hold the version
    before it, one that an alias names, or the one that an adapter was merged into.
    """
    released = sorted(record.versions, key=lambda version: version.manifest.release, reverse=True)
    named = [one for one in released if one.manifest.model.version in record.aliases.values()]
    pairs: list[Pair] = []
    for target in _each_once([*released[:1], *named]):
        missing = MAX_OFFERS_PER_VERSION - len(target.deltas)
        pairs += list(_pairs_to(target, released, named))[:missing]
    return pairs


def with_offer(record: ModelRecord, pair: Pair, offer: DeltaOffer) -> RecordStep:
    """The record with the offer; unchanged when it stands already or the version is gone."""
    base, target = pair.digests
    versions = tuple(
        structs.replace(version, deltas=(*version.deltas, offer))
        if version.manifest.digest == target and base not in _offered(version)
        else version
        for version in record.versions
    )
    if versions == record.versions:
        return RecordStep(record=record)
    return RecordStep(record=structs.replace(record, versions=versions))


def _pairs_to(
    target: ModelVersion, released: list[ModelVersion], named: list[ModelVersion]
) -> Iterator[Pair]:
    older = [one for one in released if one.manifest.release < target.manifest.release]
    origin = [one for one in released if _is_origin(one, target)]
    tried = {*_offered(target), target.manifest.digest}
    for base in _each_once([*origin, *older[:1], *named]):
        digest = base.manifest.digest
        if digest in tried or base.manifest.chunks is None or target.manifest.chunks is None:
            continue
        tried.add(digest)
        yield Pair(base, target, target.merged if base in origin else None)


def _is_origin(base: ModelVersion, target: ModelVersion) -> bool:
    return target.merged is not None and target.merged.base == base.manifest.model.version


def _offered(version: ModelVersion) -> set[Digest]:
    return {offer.base for offer in version.deltas}


def _each_once(versions: list[ModelVersion]) -> list[ModelVersion]:
    return list({one.manifest.model: one for one in versions}.values())
