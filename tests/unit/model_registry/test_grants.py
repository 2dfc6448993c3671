"""A robot is granted what its own target names, or may fall back to, and nothing else."""

from __future__ import annotations

import pytest
from msgspec import structs

from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest, ModelRef, model_name, robot_id, rollout_id, version
from fleetward.contracts.registry import (
    DeltaOffer,
    GrantFetch,
    ModelRecord,
    ModelVersion,
    StoredObject,
)
from fleetward.contracts.robots import RobotTarget, SignedTarget
from model_registry.errors import FetchNotGrantedError, UnknownModelError
from model_registry.grants import (
    MAX_MANIFESTS_LISTED,
    deltas_granted,
    manifests_listed,
    model_granted,
    version_granted,
)
from model_registry.publication import publish
from tests.unit.model_registry.candidates import NOW, candidate, digest_of, sign

ARM_1 = robot_id("arm-1")
NEW, OLD = (ModelRef(model_name("detector"), version(text)) for text in ("2.0", "1.0"))


def target(robot: str = "arm-1", beside: tuple[RobotTarget, ...] = ()) -> SignedTarget:
    named = RobotTarget(
        robot_id=robot_id(robot),
        generation=4,
        rollout_id=rollout_id("r-1"),
        model=NEW,
        digest=digest_of("new"),
        fallback=OLD,
        fallback_digest=digest_of("old"),
        beside=beside,
        issued_at=NOW,
    )
    return SignedTarget(robot_id=ARM_1, payload=encode(named), key_id="k", signature=b"s" * 64)


def asks_for(digest: Digest) -> GrantFetch:
    return GrantFetch(robot_id=ARM_1, digest=digest)


def test_the_targets_own_digest_is_granted() -> None:
    assert model_granted(target(), asks_for(digest_of("new"))) == NEW


def test_the_fallbacks_digest_is_granted() -> None:
    assert model_granted(target(), asks_for(digest_of("old"))) == OLD


def test_a_model_that_the_target_names_beside_is_granted() -> None:
    segmenter = ModelRef(model_name("segmenter"), version("1.0"))
    entry = RobotTarget(
        robot_id=ARM_1,
        generation=2,
        rollout_id=rollout_id("r-2"),
        model=segmenter,
        digest=digest_of("segmenter"),
        issued_at=NOW,
    )
    assert model_granted(target(beside=(entry,)), asks_for(digest_of("segmenter"))) == segmenter
    assert model_granted(target(beside=(entry,)), asks_for(digest_of("old"))) == OLD


def test_any_other_digest_is_refused() -> None:
    with pytest.raises(FetchNotGrantedError, match="does not name"):
        model_granted(target(), asks_for(digest_of("somebody else's")))


def test_a_robot_without_a_target_is_granted_nothing() -> None:
    with pytest.raises(FetchNotGrantedError, match="arm-1 has no target"):
        model_granted(None, asks_for(digest_of("new")))


def test_a_target_made_for_another_robot_grants_nothing() -> None:
    with pytest.raises(FetchNotGrantedError):
        model_granted(target(robot="arm-2"), asks_for(digest_of("new")))


def test_a_granted_model_must_stand_in_its_record() -> None:
    empty = ModelRecord(name=model_name("detector"))
    with pytest.raises(UnknownModelError, match=r"detector:2\.0 is not published"):
        version_granted(empty, NEW, asks_for(digest_of("new")))

    record = publish(empty, candidate("2.0", "new"), NOW, sign).record
    granted = version_granted(record, NEW, asks_for(digest_of("new")))
    assert granted.manifest.digest == digest_of("new")


def offer(base: str, fetch_bytes: int) -> DeltaOffer:
    stored = StoredObject(f"deltas/{base}", digest_of(f"delta from {base}"), fetch_bytes)
    return DeltaOffer(base=digest_of(base), stored=stored, header_bytes=10, fetch_bytes=fetch_bytes)


def test_a_robot_is_offered_the_deltas_from_what_it_holds_cheapest_first() -> None:
    offers = (offer("a", 300), offer("b", 100), offer("c", 200))
    version = structs.replace(versions_of("new")[0], deltas=offers)
    held = (digest_of("a"), digest_of("c"), digest_of("never published"))

    granted = deltas_granted(version, structs.replace(asks_for(digest_of("new")), held=held))

    assert granted == (offers[2], offers[0])
    assert deltas_granted(version, asks_for(digest_of("new"))) == ()


def versions_of(*contents: str) -> tuple[ModelVersion, ...]:
    """``detector:<n>.0`` of these contents, in this order."""
    record = ModelRecord(name=NEW.name)
    for number, each in enumerate(contents):
        record = publish(record, candidate(f"{number}.0", each), NOW, sign).record
    return record.versions


def test_a_publisher_is_told_the_newest_manifests_each_once() -> None:
    contents = [*"abcdefghijkl", "k", "l"]
    record = ModelRecord(name=NEW.name, versions=versions_of(*contents))

    listed = manifests_listed(record)

    assert [stored.digest for stored in listed] == [
        digest_of(f"chunks of {name}") for name in "lkjihgfedcba"[:MAX_MANIFESTS_LISTED]
    ]


def test_a_version_without_chunks_is_not_listed() -> None:
    (version,) = versions_of("a")
    bare = structs.replace(version, manifest=structs.replace(version.manifest, chunks=None))

    assert manifests_listed(ModelRecord(name=NEW.name, versions=(bare,))) == ()
