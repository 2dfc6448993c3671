"""Which deltas are worth preparing follows from a model's record alone."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from msgspec import structs

from fleetward.contracts.ids import AliasName, Digest, ModelName, ModelRef, Version
from fleetward.contracts.registry import (
    DeltaOffer,
    MergedAdapter,
    ModelManifest,
    ModelRecord,
    ModelVersion,
    SignedManifest,
    StoredObject,
)
from model_registry.delta_pairs import MAX_OFFERS_PER_VERSION, Pair, wanted, with_offer

NAME = ModelName("detector")
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def digest(number: int) -> Digest:
    return Digest(f"sha256:{number:064x}")


def a_version(number: int, *, has_chunks: bool = True) -> ModelVersion:
    stored = StoredObject("manifests/sha256/x", digest(1000 + number), 10)
    manifest = ModelManifest(
        model=ModelRef(NAME, Version(str(number))),
        digest=digest(number),
        size_bytes=1,
        format="onnx",
        opset=17,
        inputs=(),
        outputs=(),
        release=number,
        published_at=START,
        chunks=stored if has_chunks else None,
    )
    signed = SignedManifest(payload=b"", key_id="", signature=b"")
    return ModelVersion(manifest=manifest, signed=signed)


def an_offer(base: int) -> DeltaOffer:
    stored = StoredObject("deltas/sha256/x", digest(2000 + base), 10)
    return DeltaOffer(base=digest(base), stored=stored, header_bytes=1, fetch_bytes=1)


def a_record(*numbers: int, **aliases: str) -> ModelRecord:
    return ModelRecord(
        name=NAME,
        versions=tuple(map(a_version, numbers)),
        aliases={AliasName(alias): Version(version) for alias, version in aliases.items()},
    )


def steps(pairs: list[Pair]) -> list[tuple[int, int]]:
    return [(pair.base.manifest.release, pair.target.manifest.release) for pair in pairs]


def replaced(record: ModelRecord, version: ModelVersion) -> ModelRecord:
    versions = tuple(
        version if held.manifest.model == version.manifest.model else held
        for held in record.versions
    )
    return structs.replace(record, versions=versions)


@pytest.mark.parametrize(
    ("record", "pairs"),
    [
        (a_record(), []),
        (a_record(1), []),
        (a_record(1, 2), [(1, 2)]),
        (a_record(3, 1, 2), [(2, 3)]),
        (a_record(1, 2, 3, production="1"), [(2, 3), (1, 3)]),
        (a_record(1, 2, 3, production="3"), [(2, 3)]),
        (a_record(1, 2, 3, production="2", canary="3"), [(2, 3), (1, 2), (3, 2)]),
    ],
)
def test_robots_are_led_to_the_newest_and_the_named(
    record: ModelRecord, pairs: list[tuple[int, int]]
) -> None:
    assert steps(wanted(record)) == pairs


def test_an_offer_that_stands_is_not_wanted_again() -> None:
    record = a_record(1, 2)
    offered = with_offer(record, wanted(record)[0], an_offer(1)).record
    assert offered.versions[1].deltas == (an_offer(1),)
    assert wanted(offered) == []


def test_an_offer_made_twice_stands_once() -> None:
    record = a_record(1, 2)
    pair = wanted(record)[0]
    offered = with_offer(record, pair, an_offer(1)).record
    assert with_offer(offered, pair, an_offer(1)).record is offered


def test_a_version_that_is_gone_takes_no_offer() -> None:
    pair = wanted(a_record(1, 2))[0]
    gone = a_record(1)
    assert with_offer(gone, pair, an_offer(1)).record is gone


def test_a_version_without_chunks_is_neither_base_nor_target() -> None:
    record = a_record(1, 2, 3)
    assert wanted(replaced(record, a_version(3, has_chunks=False))) == []
    assert wanted(replaced(record, a_version(2, has_chunks=False))) == []


def test_the_same_bytes_under_two_versions_need_no_delta() -> None:
    record = a_record(1, 2)
    twin = structs.replace(
        record.versions[1],
        manifest=structs.replace(record.versions[1].manifest, digest=digest(1)),
    )
    assert wanted(replaced(record, twin)) == []


def test_a_merged_version_is_made_from_what_it_was_merged_into() -> None:
    merged = MergedAdapter(base=Version("1"), stored=StoredObject("a", digest(9), 5))
    record = a_record(1, 2, 3)
    pairs = wanted(replaced(record, structs.replace(a_version(3), merged=merged)))
    assert steps(pairs) == [(1, 3), (2, 3)]
    assert [pair.merged for pair in pairs] == [merged, None]


def test_offers_of_one_version_are_bounded() -> None:
    names = {f"site-{number}": str(number) for number in range(1, 9)}
    record = a_record(*range(1, 10), **names)
    to_newest = [step for step in steps(wanted(record)) if step[1] == 9]
    assert len(to_newest) == MAX_OFFERS_PER_VERSION
