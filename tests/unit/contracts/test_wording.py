"""What does not fit says so."""

from __future__ import annotations

import pytest

from fleetward.contracts.wording import shortened


@pytest.mark.parametrize(
    ("text", "limit", "short"),
    [
        ("", 5, ""),
        ("exact", 5, "exact"),
        ("longer", 5, "long…"),
        ("one two", 5, "one…"),
    ],
)
def test_words_are_cut_with_an_ellipsis_and_never_past_the_limit(
    text: str, limit: int, short: str
) -> None:
    assert shortened(text, limit) == short
    assert len(short) <= limit
