"""Counts, lists and long texts read well, and what does not fit says so."""

from __future__ import annotations

import pytest

from fleetward.contracts.wording import how_many, listed, shortened


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


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 robots"), (1, "1 robot"), (2, "2 robots"), (21, "21 robots")]
)
def test_only_one_is_singular(number: int, said: str) -> None:
    assert how_many(number, "robot") == said


@pytest.mark.parametrize(
    ("words", "at_most", "of", "said"),
    [
        ([], 2, None, ""),
        (["a", "b"], 2, None, "a, b"),
        (["a", "b", "c"], 2, None, "a, b and 1 more"),
        (["a", "b"], 2, 9, "a, b and 7 more"),
        (["a", "b", "c"], 2, 9, "a, b and 7 more"),
        (["a", "b"], 5, 2, "a, b"),
    ],
)
def test_a_list_names_the_first_few_and_counts_all_the_others(
    words: list[str], at_most: int, of: int | None, said: str
) -> None:
    assert listed(words, at_most, of=of) == said
