"""Decides between which versions a delta is worth preparing, and enters what came of it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, structs

from fleetward.contracts import variants
from fleetward.contracts.ids import Digest, Version
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
    before it, one that an alias names, or the one that an adapter was merged into. A robot that is
    given a variant held the same variant before, or what stood for every robot then.
    """
    released = sorted(record.versions, key=lambda version: version.manifest.release, reverse=True)
    aliased = {
        one.manifest.model.version
        for version in record.aliases.values()
        for one in variants.named(record, version)
    }
    named = [one for one in released if one.manifest.model.version in aliased]
    newest = [one for one in released if _plain(one) == _plain(released[0])]
    pairs: list[Pair] = []
    for target in _each_once([*newest, *named]):
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
    older = [
        one
        for one in released
        if one.manifest.release < target.manifest.release and _plain(one) != _plain(target)
    ]
    origin = [one for one in released if _is_origin(one, target)]
    fit = [one for one in named if not _variant(target) or _variant(one) in ("", _variant(target))]
    tried = {*_offered(target), target.manifest.digest}
    for base in _each_once([*origin, *_before(target, older), *fit]):
        digest = base.manifest.digest
        if digest in tried or base.manifest.chunks is None or target.manifest.chunks is None:
            continue
        tried.add(digest)
        yield Pair(base, target, target.merged if base in origin else None)


def _before(target: ModelVersion, older: list[ModelVersion]) -> list[ModelVersion]:
    """What robots held that are given ``target``, as far as can be told; ``older``: newest first."""
    variant = _variant(target)
    same = [one for one in older if _variant(one) == variant]
    plain = [one for one in older if not _variant(one)]
    return [*same[:1], *plain[:1]] if variant and (same or plain) else older[:1]


def _is_origin(base: ModelVersion, target: ModelVersion) -> bool:
    return target.merged is not None and target.merged.base == base.manifest.model.version


def _plain(version: ModelVersion) -> Version:
    return variants.plain_version(version.manifest)


def _variant(version: ModelVersion) -> str:
    """The name of a variant; empty for what is none."""
    return version.manifest.model.version[len(_plain(version)) :]


def _offered(version: ModelVersion) -> set[Digest]:
    return {offer.base for offer in version.deltas}


def _each_once(versions: list[ModelVersion]) -> list[ModelVersion]:
    return list({one.manifest.model: one for one in versions}.values())
