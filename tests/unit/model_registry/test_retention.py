"""What anybody could still need stays; what goes was old, unnamed and on no robot."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleetward.contracts.curation import ModelCuration, Standing
from fleetward.contracts.ids import (
    BootId,
    Digest,
    ModelRef,
    RobotId,
    RolloutId,
    alias_name,
    version,
)
from fleetward.contracts.judgements import ModelsRetired
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import RobotCheckedIn, RobotTarget
from model_registry.publication import publish
from model_registry.retention import (
    RetentionPolicy,
    StoredEntry,
    needed_digests,
    removable,
    retirable,
    retire,
    unnamed,
    with_retired,
)
from tests.unit.model_registry.candidates import NOW, candidate, digest_of, sign
from tests.unit.model_registry.curations import DETECTOR

RELEASES = tuple(f"{number}.0" for number in range(1, 7))
KEEP_TWO = RetentionPolicy(keep_versions=2, grace_s=3600.0)
LATER = NOW + timedelta(days=1)


def record(at: datetime = NOW) -> ModelRecord:
    standing = ModelRecord(name=DETECTOR)
    for release in RELEASES:
        standing = publish(standing, candidate(release, release), at, sign).record
    return standing


def gone(held: ModelRecord, policy: RetentionPolicy, *needed: str) -> list[str]:
    digests = frozenset(digest_of(release) for release in needed)
    return sorted(each.manifest.model.version for each in retirable(held, policy, digests, LATER))


def test_the_newest_and_whatever_is_named_or_needed_stay() -> None:
    named = structs.replace(record(), aliases={alias_name("production"): version("2.0")})
    assert gone(named, KEEP_TWO, "3.0") == ["1.0", "4.0"]


@pytest.mark.parametrize(
    "policy",
    [RetentionPolicy(), RetentionPolicy(keep_versions=6), RetentionPolicy(keep_versions=100)],
)
def test_without_a_policy_or_below_it_nothing_goes(policy: RetentionPolicy) -> None:
    assert gone(record(), policy) == []


def test_the_newest_release_stays_whatever_the_policy() -> None:
    assert "6.0" not in gone(record(), RetentionPolicy(keep_versions=0, grace_s=1.0))


def test_what_is_younger_than_the_grace_period_stays() -> None:
    assert gone(record(LATER - timedelta(minutes=59)), KEEP_TWO) == []
    assert len(gone(record(LATER - timedelta(minutes=61)), KEEP_TWO)) == 4


def test_retirement_says_which_bytes_may_go_and_keeps_what_was_said() -> None:
    held = record()
    step = with_retired(held, retire(held, KEEP_TWO, frozenset(), LATER), {}, LATER)

    retired, *said = step.facts
    assert isinstance(retired, ModelsRetired)
    assert set(retired.versions) == {"1.0", "2.0", "3.0", "4.0"}
    assert {fact.standing for fact in said if isinstance(fact, ModelCuration)} == {Standing.RETIRED}
    assert len(said) == 4
    assert [each.manifest.model.version for each in step.record.versions] == ["5.0", "6.0"]
    again = retire(step.record, KEEP_TWO, frozenset(), LATER)
    assert again.facts == ()


def test_everything_on_a_robot_or_meant_for_it_is_needed() -> None:
    model = ModelRef(DETECTOR, version("1.0"))
    target = RobotTarget(
        robot_id=RobotId("arm-1"),
        generation=1,
        rollout_id=RolloutId("r-1"),
        model=model,
        digest=digest_of("target"),
        fallback=model,
        fallback_digest=digest_of("fallback"),
        issued_at=NOW,
    )
    beside = structs.replace(
        target, digest=digest_of("beside"), fallback=None, fallback_digest=None
    )
    robot = RobotCheckedIn(
        robot_id=RobotId("arm-2"),
        boot_id=BootId("b-1"),
        sequence=1,
        active_digest=digest_of("active"),
        warm_digest=digest_of("warm"),
        cached_digests=(digest_of("cached"),),
        checked_in_at=NOW,
    )
    silent = RobotCheckedIn(
        robot_id=RobotId("arm-3"), boot_id=BootId("b-1"), sequence=1, checked_in_at=NOW
    )

    assert needed_digests([structs.replace(target, beside=(beside,))], [robot, silent]) == {
        digest_of(each) for each in ("target", "fallback", "beside", "active", "warm", "cached")
    }


@given(
    ages_s=st.lists(st.floats(0, 10_000), max_size=6),
    named=st.sets(st.integers(0, 5)),
    unnamed_s=st.lists(st.floats(0, 10_000), min_size=6, max_size=6),
)
def test_no_object_goes_that_is_named_young_or_unnamed_only_lately(
    ages_s: list[float], named: set[int], unnamed_s: list[float]
) -> None:
    entries = [
        StoredEntry(key=str(n), size_bytes=1, modified_at=LATER - timedelta(seconds=age_s))
        for n, age_s in enumerate(ages_s)
    ]
    keys = frozenset(str(number) for number in named)
    since = {str(n): LATER - timedelta(seconds=each) for n, each in enumerate(unnamed_s)}

    found = unnamed(entries, keys, KEEP_TWO, LATER)
    for entry in removable(found, since, KEEP_TWO, LATER):
        assert entry.key not in keys
        assert LATER - entry.modified_at > timedelta(seconds=3600)
        assert LATER - since[entry.key] >= timedelta(seconds=3600)
    assert removable(found, {}, KEEP_TWO, LATER) == ()


def test_a_digest_that_two_versions_share_is_needed_for_both() -> None:
    held = publish(record(), candidate("7.0", "1.0"), NOW, sign).record
    held = publish(held, candidate("8.0", "8.0"), NOW, sign).record
    assert Digest(digest_of("1.0")) not in {
        each.manifest.digest
        for each in retirable(held, KEEP_TWO, frozenset({digest_of("1.0")}), LATER)
    }
