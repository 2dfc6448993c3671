"""What a selector selects, and how it points at what it does not understand."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleetward.contracts.selectors import (
    MAX_DEPTH,
    MAX_SELECTOR_CHARACTERS,
    SelectorError,
    parse_selector,
)

ROBOT = {"site": "berlin", "hw": "orin-nx", "robot": "r1"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("all", True),
        ("not all", False),
        ("site=berlin", True),
        ("site = berlin", True),
        ("site!=berlin", False),
        ("tag=demo", False),
        ("tag!=demo", True),
        ("hw in (orin-nx, thor)", True),
        ("hw in (thor)", False),
        ("not hw in (thor)", True),
        ("robot=r1", True),
        ("site=paris or site=berlin and hw=thor", False),
        ("(site=paris or site=berlin) and hw=orin-nx", True),
        ("not site=paris and hw=orin-nx", True),
        ("not (site=berlin and hw=orin-nx)", False),
        ("not not all", True),
        (" all ", True),
    ],
)
def test_selector_says_who_is_meant(selector: str, selected: bool) -> None:
    assert parse_selector(selector)(ROBOT) is selected


@pytest.mark.parametrize(
    ("selector", "column", "problem"),
    [
        ("", 1, "expected a label"),
        ("site", 5, "expected '=', '!=' or 'in' after 'site'"),
        ("site=", 6, "expected a value"),
        ("site=berlin hw=thor", 13, "expected 'and', 'or' or the end"),
        ("site=berlin and", 16, "expected a label"),
        ("site==berlin", 6, "expected a value"),
        ("(site=berlin", 13, "expected ')'"),
        ("hw in thor", 7, "expected '('"),
        ("hw in (thor,)", 13, "expected a value"),
        ("hw in ()", 8, "expected a value"),
        ("and", 1, "expected a label"),
        ("site=in", 6, "expected a value"),
        ("site=berlin; rm", 12, "';' is not understood"),
        ("site=ber*", 9, "'*' is not understood"),
        ("site=münchen", 7, "'ü' is not understood"),
        ("not", 4, "expected a label"),
    ],
)
def test_mistake_is_pointed_at(selector: str, column: int, problem: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse_selector(selector)
    message = str(caught.value)
    assert f"column {column}: {problem}" in message
    assert f"\n{selector}\n{' ' * (column - 1)}^\n" in message


def test_nesting_is_bounded_and_not_a_crash() -> None:
    with pytest.raises(SelectorError, match=f"nested deeper than {MAX_DEPTH}"):
        parse_selector("(" * 1000 + "all" + ")" * 1000)
    with pytest.raises(SelectorError, match="nested deeper"):
        parse_selector("not " * 1000 + "all")


def test_length_is_bounded() -> None:
    with pytest.raises(SelectorError, match="longer than"):
        parse_selector("a" * (MAX_SELECTOR_CHARACTERS + 1))


@given(some.text(max_size=60) | some.text("ab=!(), notidrl", max_size=60))
def test_any_text_is_a_selector_or_a_selector_error(text: str) -> None:
    with contextlib.suppress(SelectorError):
        assert parse_selector(text)(ROBOT) in {True, False}


@given(some.sampled_from(["site", "hw", "tag"]), some.sampled_from(["berlin", "thor", "orin-nx"]))
def test_not_equal_is_the_opposite_of_equal(label: str, value: str) -> None:
    equal, unequal = parse_selector(f"{label}={value}"), parse_selector(f"{label}!={value}")
    assert equal(ROBOT) is not unequal(ROBOT)
