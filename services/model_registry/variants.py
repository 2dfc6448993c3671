"""Decides whether an artifact may stand beside the others of its version. Pure."""

from __future__ import annotations

from fleetward.contracts.fleet_facts import LIVE_FACTS
from fleetward.contracts.ids import ModelRef, Version
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.selectors import SelectorError, parse_selector
from fleetward.contracts.variants import (
    MAX_FITS_CHARACTERS,
    MAX_VARIANTS_PER_VERSION,
    SEPARATOR,
    labels_asked,
    named,
)
from model_registry.errors import VariantRefusedError


def refuse_variant(record: ModelRecord, model: ModelRef, fits: str) -> None:
    """Raises VariantRefusedError; what is no variant is refused beside variants that people use.

    Once an alias names a version, what it consists of is what was judged: nothing is added to it.
    """
    if fits:
        _refuse_unclear(model, fits)
    plain = Version(model.version.rpartition(SEPARATOR)[0]) if fits else model.version
    others = [held.manifest for held in named(record, plain)]
    named_by = sorted(alias for alias, version in record.aliases.items() if version == plain)
    if named_by and others:
        raise VariantRefusedError(
            f"{record.name}@{named_by[0]} names {plain} already, so nothing is added to it. "
            "Publish all variants under a new version, and then move the alias."
        )
    if len(others) >= MAX_VARIANTS_PER_VERSION:
        raise VariantRefusedError(
            f"{record.name}:{plain} has {len(others)} variants, the most one version may have."
        )
    same = [each for each in others if fits and _written(each.fits) == _written(fits)]
    if same:
        raise VariantRefusedError(
            f"{same[0].model} is for {same[0].fits} already, so no robot would fit {model} alone. "
            "Give it a selector that no robot of the other answers."
        )


def _refuse_unclear(model: ModelRef, fits: str) -> None:
    plain, _, variant = model.version.rpartition(SEPARATOR)
    if not plain or not variant:
        raise VariantRefusedError(
            f"{model} is for {fits} alone, so its version is to be written VERSION{SEPARATOR}VARIANT, "
            f"for example {plain or variant}{SEPARATOR}thor."
        )
    if len(fits) > MAX_FITS_CHARACTERS:
        raise VariantRefusedError(
            f"The selector of {model} has {len(fits)} characters, its limit is "
            f"{MAX_FITS_CHARACTERS}. Give such robots a label of their own."
        )
    try:
        asked = labels_asked(fits)
    except SelectorError as error:
        raise VariantRefusedError(f"{model} is for no robots: {error}") from error
    if asked is None:
        raise VariantRefusedError(
            f"{model} would be for all robots. Publish it as {plain}, without a selector: it is then "
            "for the robots that no variant fits."
        )
    if asked & LIVE_FACTS:
        raise VariantRefusedError(
            f"{model} is chosen by {', '.join(sorted(asked & LIVE_FACTS))}, which changes while a "
            "robot runs. Name labels alone, for example hw=thor."
        )


def _written(fits: str) -> str:
    """The same for selectors that differ in blanks or quotes alone."""
    return str(parse_selector(fits)) if fits else ""
