"""Which versions of a model are listed for robots, and which of them a robot may return to."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fleetward.contracts.ids import Digest, Version
from fleetward.contracts.registry import ModelRecord, ModelVersion
from fleetward.contracts.variants import plain_version
from fleetward.trust.listing import Listed, listed

FALLBACK_RELEASES = 8
"""A robot may be sent back among so many newest releases; further only to what an alias names."""


def listings(
    before: ModelRecord,
    after: ModelRecord,
    standing: Mapping[Version, Listed],
    withdrawn: Collection[Digest],
) -> dict[Version, Listed]:
    """What to list of ``after``: what was listed and is still there, and what this change adds.

    A version that is in the store and was never listed was written by somebody who could not
    sign: it stays unlisted, and so does for good what was withdrawn.
    """
    known = {version.manifest.model for version in before.versions}
    permitted = _permitted(after)
    wanted = {}
    for version in after.versions:
        manifest = version.manifest
        entry = _entry(version, manifest.model.version in permitted)
        then = standing.get(manifest.model.version)
        added = manifest.model not in known
        if manifest.digest not in withdrawn and (added or _same(then, entry)):
            wanted[manifest.model.version] = entry
    return wanted


def first_listings(record: ModelRecord, withdrawn: Collection[Digest]) -> dict[Version, Listed]:
    """What to list of a record from before anything was listed."""
    return listings(ModelRecord(name=record.name), record, {}, withdrawn)


def _permitted(record: ModelRecord) -> frozenset[Version]:
    """The newest releases, and every version that somebody gave an alias to; all variants of each."""
    newest = sorted(record.versions, key=lambda version: -version.manifest.release)
    plain = dict.fromkeys(plain_version(version.manifest) for version in newest)
    wanted = {*list(plain)[:FALLBACK_RELEASES], *record.aliases.values()}
    return frozenset(
        version.manifest.model.version
        for version in newest
        if wanted & {version.manifest.model.version, plain_version(version.manifest)}
    )


def _entry(version: ModelVersion, fallback: bool) -> Listed:
    manifest = version.manifest
    return listed(version.signed.payload, manifest.digest, manifest.release, fallback=fallback)


def _same(then: Listed | None, entry: Listed) -> bool:
    """Whether these are the bytes that were listed; what it may be used for may change."""
    return then is not None and then.manifest == entry.manifest
