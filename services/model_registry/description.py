"""Decides what is said of a version from its first moment on: lineage, licence, card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from msgspec import structs

from fleetward.contracts.curation import (
    MAX_CARD_BYTES,
    MAX_LICENCE_CHARS,
    MAX_LINEAGE_ENTRIES,
    MAX_LINEAGE_KEY_CHARS,
    MAX_LINEAGE_VALUE_CHARS,
    ModelCard,
    ModelCuration,
)
from fleetward.contracts.event import Event
from fleetward.contracts.registry import ModelManifest, ModelPublished, RegisterModel
from model_registry.errors import DescriptionRefusedError
from model_registry.publication import RecordStep

LICENCE_KEYS = ("licence", "license", "spdx-license-identifier")
"""Where files say it: ONNX ``metadata_props`` and safetensors ``__metadata__``, in any case."""

_ID = r"(?!(?:AND|OR|WITH)\b)(?:[A-Za-z0-9][A-Za-z0-9.-]*\+?|LicenseRef-[A-Za-z0-9.-]+)"
_TERM = rf"\(*{_ID}(?: WITH {_ID})?\)*"
_SPDX = re.compile(rf"\A{_TERM}(?: (?:AND|OR) {_TERM})*\Z")
"""The shape of an SPDX expression (SPDX 2.3, annex D); which licences exist is not looked up."""


def refuse_description(request: RegisterModel) -> None:
    """Raises DescriptionRefusedError for what could not be kept or read."""
    card_bytes = len(request.card.encode())
    if card_bytes > MAX_CARD_BYTES:
        raise DescriptionRefusedError(
            f"The model card is {card_bytes} bytes, its limit is {MAX_CARD_BYTES}. Shorten it, or "
            "link to the long version."
        )
    if request.licence and not is_spdx(request.licence):
        raise DescriptionRefusedError(
            f"The licence {request.licence!r} is no SPDX expression. Write for example Apache-2.0, "
            "or LicenseRef-<name> for one of your own."
        )
    _refuse_lineage(request.lineage)


def licence_of(given: str, metadata: Mapping[str, str]) -> str:
    """What the publisher says, else what the file says if that is an SPDX expression, else ''."""
    if given:
        return given
    said = {key.lower(): value.strip() for key, value in metadata.items()}
    for key in LICENCE_KEYS:
        if is_spdx(said.get(key, "")):
            return said[key]
    return ""


def is_spdx(text: str) -> bool:
    """Whether ``text`` has the shape of an SPDX expression."""
    balanced = text.count("(") == text.count(")")
    return balanced and len(text) <= MAX_LICENCE_CHARS and _SPDX.match(text) is not None


def described(step: RecordStep, request: RegisterModel, now: datetime) -> RecordStep:
    """The step that publishes a version, with what its publisher says of it."""
    if not any(isinstance(fact, ModelPublished) for fact in step.facts):
        return step
    manifest = step.record.versions[-1].manifest
    curation = structs.replace(
        undescribed(manifest),
        lineage=request.lineage,
        licence=licence_of(request.licence, manifest.metadata),
        card_bytes=len(request.card.encode()),
        inspected_at=now,
    )
    said: tuple[Event, ...] = (curation,)
    if request.card:
        said += (ModelCard(name=curation.name, release=curation.release, text=request.card),)
    return structs.replace(step, facts=(*step.facts, *said))


def undescribed(manifest: ModelManifest) -> ModelCuration:
    """What is known of a version that nobody said anything of: its publication inspected it."""
    return ModelCuration(
        name=manifest.model.name,
        release=manifest.release,
        version=manifest.model.version,
        digest=manifest.digest,
        licence=licence_of("", manifest.metadata),
        inspected_at=manifest.published_at,
    )


def _refuse_lineage(lineage: Mapping[str, str]) -> None:
    if len(lineage) > MAX_LINEAGE_ENTRIES:
        raise DescriptionRefusedError(
            f"{len(lineage)} entries of lineage are more than the {MAX_LINEAGE_ENTRIES} of one "
            "version. Name a document that holds them."
        )
    for key, value in lineage.items():
        if not 0 < len(key) <= MAX_LINEAGE_KEY_CHARS or len(value) > MAX_LINEAGE_VALUE_CHARS:
            raise DescriptionRefusedError(
                f"The lineage {key[:MAX_LINEAGE_KEY_CHARS]!r} is too long: a key has 1 to "
                f"{MAX_LINEAGE_KEY_CHARS} characters, a value at most {MAX_LINEAGE_VALUE_CHARS}."
            )
