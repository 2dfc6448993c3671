"""Which artifact of a version a robot is given: by its labels, and settled when it is planned for.

A variant is a version of its own, written VERSION+VARIANT, whose signed manifest says which robots it
``fits``: ``detector:2.0+thor`` for ``hw=thor``. So it is signed, listed, granted, withdrawn and retired
as every version is. ``detector:2.0`` names the plain version, if there is one, and all its variants; the
plain one is for the robots that no variant fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
from msgspec import UNSET

from fleetward.contracts.ids import Digest, Version
from fleetward.contracts.members import Member
from fleetward.contracts.registry import ModelManifest, ModelRecord, ModelVersion, Variant
from fleetward.contracts.rollouts import RobotProgress, Rollout
from fleetward.contracts.selector_terms import Both, Either, Everybody, Not, Term
from fleetward.contracts.selectors import parse_selector

MAX_VARIANTS_PER_VERSION = 16
MAX_FITS_CHARACTERS = 200
SEPARATOR = "+"

Labels = Mapping[str, str]
Fitting = Callable[[Labels], "int | str"]
"""The number of the one artifact for a robot with these labels, or why there is none."""


def plain_version(manifest: ModelManifest) -> Version:
    """What a version is called without the name of its variant."""
    version = manifest.model.version
    return Version(version.rpartition(SEPARATOR)[0]) if manifest.fits else version


def named(record: ModelRecord, version: Version | None) -> tuple[ModelVersion, ...]:
    """Every published artifact that ``version`` names: itself and its variants; empty: none."""
    return tuple(
        held
        for held in record.versions
        if version in (held.manifest.model.version, plain_version(held.manifest))
    )


def variant_of(manifest: ModelManifest) -> Variant:
    """What is to be known of an artifact to give it to robots."""
    return Variant(model=manifest.model, digest=manifest.digest, fits=manifest.fits)


def digest_of_all(variants: Sequence[Variant]) -> Digest:
    """What stands for all of them together: of no bytes that a robot could attest."""
    payload = msgspec.msgpack.encode(tuple(variants))
    return Digest(f"sha256:{hashlib.sha256(payload).hexdigest()}")


def wanted(rollout: Rollout, progress: RobotProgress) -> Variant:
    """The bytes that the rollout gives this robot, and under which name."""
    if not rollout.variants or progress.variant is UNSET:
        return Variant(model=rollout.model, digest=rollout.digest)
    return rollout.variants[progress.variant]


def digests(rollout: Rollout) -> frozenset[Digest]:
    """All bytes that the rollout gives to anybody, of all its models."""
    given: tuple[Rollout | Member, ...] = (rollout, *rollout.together)
    return frozenset(each.digest for of in given for each in of.variants or (of,))


def fitting(variants: Sequence[Variant]) -> Fitting:
    """Finds a robot's artifact among ``variants``; raises SelectorError."""
    special = [
        (number, parse_selector(variant.fits))
        for number, variant in enumerate(variants)
        if variant.fits
    ]
    plain = [number for number, variant in enumerate(variants) if not variant.fits]

    def of(labels: Labels) -> int | str:
        found = [number for number, fits in special if fits(labels)] or plain
        if len(found) == 1:
            return found[0]
        if not found:
            return f"no variant fits its labels: {_offered(variants)}"
        both = _offered([variants[number] for number in found])
        return f"more than one variant fits its labels: {both}"

    return of


def labels_asked(fits: str) -> frozenset[str] | None:
    """The labels that a selector asks for; None: it holds for everybody. Raises SelectorError."""
    term = parse_selector(fits).term
    return None if isinstance(term, Everybody) else frozenset(_asked(term))


def _asked(term: Term) -> Iterator[str]:
    match term:
        case Not(term=inner):
            yield from _asked(inner)
        case Both(terms=terms) | Either(terms=terms):
            for each in terms:
                yield from _asked(each)
        case Everybody():
            return
        case _:
            yield term.name


def _offered(variants: Sequence[Variant]) -> str:
    return ", ".join(f"{variant.model} is for {variant.fits}" for variant in variants)
