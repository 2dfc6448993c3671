"""What may stand beside the other artifacts of a version, and what is done with them together."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from fleetward.contracts.ids import alias_name, version
from fleetward.contracts.registry import ModelPublished, ModelRecord, MoveAlias
from fleetward.contracts.variants import MAX_FITS_CHARACTERS, MAX_VARIANTS_PER_VERSION, named
from model_registry.aliases import move
from model_registry.delta_pairs import wanted
from model_registry.errors import GateMissingError, VariantRefusedError, VersionTakenError
from model_registry.gates import guarded_move
from model_registry.listings import FALLBACK_RELEASES, first_listings
from model_registry.publication import RecordStep, publish
from model_registry.retention import RetentionPolicy, retirable
from tests.unit.model_registry.candidates import NOW, candidate, digest_of, sign
from tests.unit.model_registry.curations import DETECTOR, known

EMPTY = ModelRecord(name=DETECTOR)


def pushed(record: ModelRecord, release: str, fits: str = "", contents: str = "") -> RecordStep:
    one = structs.replace(candidate(release, contents or release), fits=fits)
    return publish(record, one, NOW, sign)


def record_of(*releases: str) -> ModelRecord:
    """Each release, for ``hw=VARIANT`` where it is a variant."""
    record = EMPTY
    for release in releases:
        _, plus, variant = release.partition("+")
        record = pushed(record, release, f"hw={variant}" if plus else "").record
    return record


def versions_of(record: ModelRecord, asked: str) -> list[str]:
    return [each.manifest.model.version for each in named(record, version(asked))]


def test_a_variant_is_a_version_of_its_own_whose_signed_manifest_says_whom_it_is_for() -> None:
    step = pushed(EMPTY, "2.0+thor", "hw=thor")
    (held,) = step.record.versions
    assert (held.manifest.model.version, held.manifest.fits) == ("2.0+thor", "hw=thor")
    assert b"hw=thor" in held.signed.payload
    (fact,) = step.facts
    assert isinstance(fact, ModelPublished)
    assert fact.fits == "hw=thor"


def test_a_version_names_itself_and_its_variants_and_a_variant_itself_alone() -> None:
    record = record_of("1.0", "2.0", "2.0+orin", "2.0+thor")
    assert versions_of(record, "2.0") == ["2.0", "2.0+orin", "2.0+thor"]
    assert versions_of(record, "2.0+thor") == ["2.0+thor"]
    assert versions_of(pushed(record, "1.0+build7").record, "1.0") == ["1.0"]


@pytest.mark.parametrize(
    ("release", "fits", "words"),
    [
        ("2.0", "hw=thor", r"is to be written VERSION\+VARIANT, for example 2.0\+thor"),
        ("2.0+thor", "hw=", "is for no robots: the selector is not valid at column"),
        ("2.0+thor", "all", "would be for all robots. Publish it as 2.0, without a selector"),
        ("2.0+thor", "hw=thor and not online", "is chosen by online, which changes"),
        ("2.0+thor", f"hw={'x' * MAX_FITS_CHARACTERS}", "its limit is"),
    ],
)
def test_an_unclear_variant_is_refused(release: str, fits: str, words: str) -> None:
    with pytest.raises(VariantRefusedError, match=words):
        pushed(EMPTY, release, fits)


def test_two_variants_of_a_version_for_the_same_robots_are_refused() -> None:
    record = record_of("2.0+thor")
    with pytest.raises(VariantRefusedError, match=r"2.0\+thor is for hw=thor already"):
        pushed(record, "2.0+big", 'hw = "thor"')
    assert pushed(record, "3.0+thor", "hw=thor").facts


def test_a_variant_pushed_again_changes_nothing_and_for_other_robots_it_is_refused() -> None:
    record = record_of("2.0+thor")
    assert pushed(record, "2.0+thor", "hw=thor") == RecordStep(record=record)
    with pytest.raises(VersionTakenError, match="already published for hw=thor"):
        pushed(record, "2.0+thor", "hw=orin")


def test_no_version_has_more_variants_than_a_rollout_shall_hold() -> None:
    record = record_of(*(f"2.0+v{number}" for number in range(MAX_VARIANTS_PER_VERSION)))
    with pytest.raises(VariantRefusedError, match=f"has {MAX_VARIANTS_PER_VERSION} variants"):
        pushed(record, "2.0+one-more", "hw=more")


@pytest.mark.parametrize("added", [("2.0", ""), ("2.0+orin", "hw=orin")])
def test_nothing_is_added_to_a_version_that_an_alias_names(added: tuple[str, str]) -> None:
    record = record_of("2.0+thor")
    asked = MoveAlias(name=DETECTOR, alias=alias_name("stable"), version=version("2.0"))
    named_record = move(record, asked, NOW).record
    with pytest.raises(VariantRefusedError, match=r"@stable names 2\.0 already"):
        pushed(named_record, *added)
    assert pushed(named_record, "3.0+thor", "hw=thor").facts


def test_an_alias_moves_only_when_every_variant_was_looked_at() -> None:
    asked = MoveAlias(name=DETECTOR, alias=alias_name("stable"), version=version("2.0"))
    with pytest.raises(GateMissingError, match="got another variant meanwhile"):
        guarded_move(record_of("2.0+orin", "2.0+thor"), asked, [known()], NOW)
    assert guarded_move(record_of("2.0+orin", "2.0+thor"), asked, [known(), known()], NOW).facts


def test_a_variant_is_changed_into_from_the_same_variant_before_or_from_what_all_had() -> None:
    record = record_of("1.0", "1.1+orin", "1.1+thor", "2.0+orin", "2.0+thor", "2.0+new")
    pairs = [
        (str(pair.target.manifest.model.version), str(pair.base.manifest.model.version))
        for pair in wanted(record)
    ]
    assert sorted(pairs) == [
        ("2.0+new", "1.0"),
        ("2.0+orin", "1.0"),
        ("2.0+orin", "1.1+orin"),
        ("2.0+thor", "1.0"),
        ("2.0+thor", "1.1+thor"),
    ]


def test_robots_may_return_to_as_many_versions_with_variants_as_without() -> None:
    releases = [
        f"{number}.0+{variant}"
        for number in range(FALLBACK_RELEASES + 1)
        for variant in ("orin", "thor")
    ]
    listed = first_listings(record_of(*releases), ())
    assert [name for name in releases if not listed[version(name)].fallback] == releases[:2]


def test_variants_are_retired_together_or_not_at_all() -> None:
    record = record_of("1.0", "1.0+thor", "2.0+orin", "2.0+thor", "3.0")
    policy, later = RetentionPolicy(keep_versions=1, grace_s=3600), NOW + timedelta(days=1)
    on_a_robot = frozenset({digest_of("2.0+thor")})
    gone = [each.manifest.model.version for each in retirable(record, policy, on_a_robot, later)]
    assert gone == ["1.0+thor", "1.0"]
    aliased = structs.replace(record, aliases={alias_name("old"): version("1.0")})
    assert retirable(aliased, policy, on_a_robot, later) == ()
