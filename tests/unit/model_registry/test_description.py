"""Lineage, licence and card are kept as given, or refused before a byte is read."""

from __future__ import annotations

import pytest
from msgspec import structs

from fleetward.contracts.curation import (
    MAX_CARD_BYTES,
    MAX_LINEAGE_ENTRIES,
    MAX_LINEAGE_VALUE_CHARS,
    ModelCard,
    ModelCuration,
)
from fleetward.contracts.ids import ModelName
from fleetward.contracts.registry import ModelPublished, ModelRecord, RegisterModel
from model_registry.description import described, is_spdx, licence_of, refuse_description
from model_registry.errors import DescriptionRefusedError
from model_registry.publication import publish
from tests.unit.model_registry.candidates import NOW, candidate, digest_of, sign
from tests.unit.model_registry.curations import DETECTOR, FIRST


def request(
    lineage: dict[str, str] | None = None, licence: str = "", card: str = ""
) -> RegisterModel:
    return RegisterModel(
        name=DETECTOR,
        version=FIRST,
        digest=digest_of("1.0"),
        size_bytes=3,
        upload_key="uploads/x",
        lineage=lineage or {},
        licence=licence,
        card=card,
    )


@pytest.mark.parametrize(
    "text",
    [
        "MIT",
        "Apache-2.0",
        "GPL-2.0+",
        "LicenseRef-Acme-1",
        "MIT OR Apache-2.0",
        "(MIT AND BSD-3-Clause) OR Apache-2.0",
        "GPL-2.0-only WITH Classpath-exception-2.0",
    ],
)
def test_spdx_expressions_are_licences(text: str) -> None:
    assert is_spdx(text)
    refuse_description(request(licence=text))


@pytest.mark.parametrize(
    "text", ["do what you want", "MIT,", "(MIT", "AND", "MIT  OR BSD", "a" * 500]
)
def test_other_words_are_no_licence(text: str) -> None:
    with pytest.raises(DescriptionRefusedError, match="no SPDX expression"):
        refuse_description(request(licence=text))


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"License": "AGPL-3.0"}, "AGPL-3.0"),
        ({"licence": " MIT "}, "MIT"),
        ({"SPDX-License-Identifier": "Apache-2.0"}, "Apache-2.0"),
        ({"license": "ask our lawyers"}, ""),
        ({"author": "MIT"}, ""),
    ],
)
def test_the_file_says_its_own_licence(metadata: dict[str, str], expected: str) -> None:
    assert licence_of("", metadata) == expected
    assert licence_of("BSD-3-Clause", metadata) == "BSD-3-Clause"


def test_a_publication_carries_what_was_said_of_it() -> None:
    asked = request({"dataset": "roads-7"}, card="# Detector")
    published = publish(
        ModelRecord(name=ModelName("detector")),
        candidate("1.0", "1.0", {"license": "MIT"}),
        NOW,
        sign,
    )

    step = described(published, asked, NOW)

    assert [type(fact) for fact in step.facts] == [ModelPublished, ModelCuration, ModelCard]
    said = step.facts[1]
    assert isinstance(said, ModelCuration)
    assert (said.release, said.lineage, said.licence) == (1, {"dataset": "roads-7"}, "MIT")
    assert (said.inspected_at, said.card_bytes) == (NOW, len("# Detector"))


def test_what_is_published_already_is_not_described_anew() -> None:
    first = publish(ModelRecord(name=ModelName("detector")), candidate("1.0", "1.0"), NOW, sign)
    again = publish(first.record, candidate("1.0", "1.0"), NOW, sign)

    assert described(again, request({"dataset": "other"}), NOW) == again


@pytest.mark.parametrize(
    "asked",
    [
        request(card="é" * (MAX_CARD_BYTES // 2 + 1)),
        request({str(number): "" for number in range(MAX_LINEAGE_ENTRIES + 1)}),
        request({"dataset": "x" * (MAX_LINEAGE_VALUE_CHARS + 1)}),
        request({"": "nothing"}),
    ],
    ids=["card", "entries", "value", "key"],
)
def test_what_would_not_fit_is_refused(asked: RegisterModel) -> None:
    with pytest.raises(DescriptionRefusedError):
        refuse_description(asked)
    refuse_description(structs.replace(asked, card="", lineage={}))
