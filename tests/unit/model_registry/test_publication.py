"""A version is written once: the same bytes again change nothing, other bytes are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.ids import model_name
from fleetward.contracts.registry import (
    MAX_VERSIONS_PER_MODEL,
    ModelManifest,
    ModelPublished,
    ModelRecord,
)
from model_registry.errors import ManifestTooLargeError, TooManyVersionsError, VersionTakenError
from model_registry.publication import publish
from tests.unit.model_registry.candidates import NOW, candidate, digest_of, sign

EMPTY = ModelRecord(name=model_name("detector"))

pushes = st.lists(
    st.tuples(st.sampled_from(["1.0", "1.1", "2.0"]), st.sampled_from(["a", "b", "c"])),
    max_size=12,
)


def test_first_version_is_recorded_and_announced() -> None:
    step = publish(EMPTY, candidate("1.0", "a"), NOW, sign)

    (version,) = step.record.versions
    assert version.manifest.release == 1
    assert step.facts == (
        ModelPublished(
            name=model_name("detector"),
            version=version.manifest.model.version,
            digest=digest_of("a"),
            size_bytes=1,
            release=1,
            published_at=NOW,
        ),
    )


def test_signed_payload_is_the_manifest_itself() -> None:
    (version,) = publish(EMPTY, candidate("1.0", "a"), NOW, sign).record.versions

    assert decode(version.signed.payload, ModelManifest) == version.manifest


def test_same_bytes_again_change_nothing_and_announce_nothing() -> None:
    record = publish(EMPTY, candidate("1.0", "a"), NOW, sign).record

    step = publish(record, candidate("1.0", "a", {"by": "somebody else"}), NOW, sign)

    assert step.record == record
    assert step.facts == ()


def test_other_bytes_under_a_published_version_are_refused_by_name() -> None:
    record = publish(EMPTY, candidate("1.0", "a"), NOW, sign).record

    with pytest.raises(VersionTakenError, match=r"detector:1\.0 is already published"):
        publish(record, candidate("1.0", "b"), NOW, sign)


def test_two_versions_with_the_same_bytes_share_one_object() -> None:
    record = publish(EMPTY, candidate("1.0", "a"), NOW, sign).record
    record = publish(record, candidate("1.1", "a"), NOW, sign).record

    assert {held.manifest.digest for held in record.versions} == {digest_of("a")}


def test_a_name_full_of_versions_takes_no_more() -> None:
    record = EMPTY
    for number in range(MAX_VERSIONS_PER_MODEL):
        record = publish(record, candidate(f"1.{number}", f"bytes {number}"), NOW, sign).record

    with pytest.raises(TooManyVersionsError, match="500 versions"):
        publish(record, candidate("2.0", "one more"), NOW, sign)
    assert publish(record, candidate("1.7", "bytes 7"), NOW, sign).facts == ()


def test_a_full_record_of_largest_manifests_fits_into_its_row() -> None:
    from fleetward.contracts.catalog import row_of

    (largest,) = publish(
        EMPTY, candidate("1.0", "a", {"notes": "n" * 2300}), NOW, sign
    ).record.versions

    bytes_per_version = len(encode(largest))
    assert bytes_per_version > 2 * 2600
    assert bytes_per_version * MAX_VERSIONS_PER_MODEL < row_of(ModelRecord).size_limit_bytes


def test_metadata_beyond_a_manifest_is_refused() -> None:
    with pytest.raises(ManifestTooLargeError, match="Give less metadata"):
        publish(EMPTY, candidate("1.0", "a", {"notes": "n" * 4000}), NOW, sign)


@given(pushes)
def test_any_order_of_pushes_keeps_every_version_as_it_was_first_published(
    order: list[tuple[str, str]],
) -> None:
    record, first_bytes = EMPTY, dict[str, str]()
    for release, contents in order:
        held = first_bytes.setdefault(release, contents)
        if held != contents:
            with pytest.raises(VersionTakenError):
                publish(record, candidate(release, contents), NOW, sign)
            continue
        record = publish(record, candidate(release, contents), NOW, sign).record

    standing = {held.manifest.model.version: held.manifest.digest for held in record.versions}
    assert standing == {release: digest_of(held) for release, held in first_bytes.items()}
    assert [held.manifest.release for held in record.versions] == list(range(1, len(standing) + 1))
