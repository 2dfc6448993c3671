"""What robots are told of a model: all that was signed, nothing that was slipped in."""

from __future__ import annotations

from fleetward.contracts.ids import Version, alias_name, model_name, version
from fleetward.contracts.registry import ModelRecord
from fleetward.trust.listing import Listed
from model_registry.listings import FALLBACK_RELEASES, first_listings, listings
from model_registry.publication import publish
from tests.unit.model_registry.candidates import NOW, candidate, digest_of, sign

EMPTY = ModelRecord(name=model_name("detector"))


def record_of(releases: int, **aliases: str) -> ModelRecord:
    """``detector`` with versions 1 to ``releases``."""
    record = ModelRecord(
        name=EMPTY.name,
        aliases={alias_name(alias): version(named) for alias, named in aliases.items()},
    )
    for number in range(1, releases + 1):
        record = publish(record, candidate(str(number), f"bytes {number}"), NOW, sign).record
    return record


def returnable(listed: dict[Version, Listed]) -> set[int]:
    return {entry.release for entry in listed.values() if entry.fallback}


def test_a_version_is_listed_when_it_is_added_with_its_release_and_its_bytes() -> None:
    listed = listings(EMPTY, record_of(1), {}, ())
    entry = listed[version("1")]
    assert (entry.digest, entry.release) == (digest_of("bytes 1"), 1)
    assert entry.describes(record_of(1).versions[0].signed.payload)


def test_a_version_that_was_slipped_into_the_store_is_never_listed() -> None:
    slipped_in = record_of(2)
    standing = listings(EMPTY, record_of(1), {}, ())
    after = publish(slipped_in, candidate("3", "bytes 3"), NOW, sign).record
    assert set(listings(slipped_in, after, standing, ())) == {version("1"), version("3")}


def test_a_manifest_that_was_changed_in_the_store_is_listed_no_more() -> None:
    before, changed = record_of(2), record_of(1)
    standing = listings(EMPTY, before, {}, ())
    forged = publish(changed, candidate("2", "evil bytes"), NOW, sign).record
    assert set(listings(forged, forged, standing, ())) == {version("1")}


def test_what_was_withdrawn_is_listed_no_more_and_never_again() -> None:
    record = record_of(2)
    standing = listings(EMPTY, record, {}, ())
    withdrawn = listings(record, record, standing, {digest_of("bytes 1")})
    assert set(withdrawn) == {version("2")}
    assert set(listings(record, record, withdrawn, ())) == {version("2")}


def test_a_version_that_left_the_record_leaves_the_list() -> None:
    standing = listings(EMPTY, record_of(2), {}, ())
    assert set(listings(record_of(2), record_of(1), standing, ())) == {version("1")}


def test_a_robot_may_go_back_among_the_newest_and_to_what_an_alias_names() -> None:
    releases = FALLBACK_RELEASES + 3
    newest = set(range(4, releases + 1))
    assert returnable(first_listings(record_of(releases), ())) == newest
    assert returnable(first_listings(record_of(releases, production="2"), ())) == newest | {2}


def test_an_alias_that_moves_takes_the_leave_to_go_back_with_it() -> None:
    releases = FALLBACK_RELEASES + 3
    before, after = record_of(releases, production="2"), record_of(releases, production="1")
    standing = first_listings(before, ())
    assert 2 not in returnable(listings(before, after, standing, ()))
    assert 1 in returnable(listings(before, after, standing, ()))
