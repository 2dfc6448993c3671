"""Decides which versions a model may lose, and which objects nothing names any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct, structs

from fleetward.contracts.curation import ModelCuration
from fleetward.contracts.ids import Digest, Version
from fleetward.contracts.judgements import ModelsRetired
from fleetward.contracts.registry import ModelRecord, ModelVersion
from fleetward.contracts.robots import RobotCheckedIn, RobotTarget
from fleetward.contracts.variants import plain_version
from model_registry.description import undescribed
from model_registry.judgement import retired
from model_registry.publication import RecordStep


class RetentionPolicy(Struct, frozen=True, kw_only=True):
    """What is kept. ``keep_versions`` None: every version, for good.

    ``grace_s``: younger versions and objects are left alone, also what was unnamed for less:
    longer than any publish or rollout takes to name what it uses.
    """

    keep_versions: int | None = None
    grace_s: float = 86_400.0


class StoredEntry(Struct, frozen=True, kw_only=True):
    """One object of the bucket as it was listed."""

    key: str
    size_bytes: int
    modified_at: datetime


def needed_digests(
    targets: Iterable[RobotTarget], checked_in: Iterable[RobotCheckedIn]
) -> frozenset[Digest]:
    """What any robot serves, holds warm or on its disk, is to serve, or could fall back to."""
    needed: set[Digest | None] = set()
    for entry in (entry for target in targets for entry in target.entries):
        needed |= {entry.digest, entry.fallback_digest}
    for robot in checked_in:
        needed |= {robot.active_digest, robot.warm_digest, *robot.cached_digests}
    return frozenset(digest for digest in needed if digest is not None)


def retirable(
    record: ModelRecord, policy: RetentionPolicy, needed: frozenset[Digest], now: datetime
) -> tuple[ModelVersion, ...]:
    """The versions that may go: old, unnamed, and on no robot. Never the newest release.

    Variants go together: without one of them its robots would be given the plain version.
    The newest also carries the release counter, which guards against downgrades.
    """
    if policy.keep_versions is None:
        return ()
    newest = sorted(record.versions, key=lambda version: -version.manifest.release)
    together: dict[Version, list[ModelVersion]] = {}
    for version in newest:
        together.setdefault(plain_version(version.manifest), []).append(version)
    named = set(record.aliases.values())
    oldest = now - timedelta(seconds=policy.grace_s)

    def may_go(version: ModelVersion) -> bool:
        manifest = version.manifest
        is_named = named & {manifest.model.version, plain_version(manifest)}
        return not is_named and manifest.digest not in needed and manifest.published_at < oldest

    return tuple(
        version
        for variants in list(together.values())[max(1, policy.keep_versions) :]
        if all(map(may_go, variants))
        for version in variants
    )


def retire(
    record: ModelRecord, policy: RetentionPolicy, needed: frozenset[Digest], now: datetime
) -> RecordStep:
    """The record without its retirable versions; no facts: there are none."""
    gone = retirable(record, policy, needed, now)
    if not gone:
        return RecordStep(record=record)
    fact = ModelsRetired(
        name=record.name,
        versions=tuple(version.manifest.model.version for version in gone),
        digests=tuple(version.manifest.digest for version in gone),
        retired_at=now,
    )
    left = tuple(version for version in record.versions if version not in gone)
    return RecordStep(record=structs.replace(record, versions=left), facts=(fact,))


def with_retired(
    before: ModelRecord, step: RecordStep, said: Mapping[int, ModelCuration], now: datetime
) -> RecordStep:
    """The step, with what is kept of the versions that it retires."""
    gone = [version for version in before.versions if version not in step.record.versions]
    kept = [
        retired(said.get(each.manifest.release) or undescribed(each.manifest), now) for each in gone
    ]
    return structs.replace(step, facts=(*step.facts, *kept))


def unnamed(
    entries: Iterable[StoredEntry], named: frozenset[str], policy: RetentionPolicy, now: datetime
) -> tuple[StoredEntry, ...]:
    """Objects that no record names and that are too old to belong to a publish in progress."""
    oldest = now - timedelta(seconds=policy.grace_s)
    return tuple(
        entry for entry in entries if entry.key not in named and entry.modified_at < oldest
    )


def removable(
    candidates: Iterable[StoredEntry],
    unnamed_since: Mapping[str, datetime],
    policy: RetentionPolicy,
    now: datetime,
) -> tuple[StoredEntry, ...]:
    """Of unnamed objects those that were seen so for the whole grace period.

    A version that was retired a moment ago may be in somebody's hands still.
    """
    oldest = now - timedelta(seconds=policy.grace_s)
    return tuple(entry for entry in candidates if unnamed_since.get(entry.key, now) <= oldest)
