"""What a selector selects, and how it points at what it does not understand."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as some

from fleetward.contracts.selector_terms import (
    KEYWORDS,
    Both,
    Compared,
    Differs,
    Either,
    Equals,
    Everybody,
    Fact,
    Not,
    OneOf,
    Stated,
    Term,
)
from fleetward.contracts.selectors import (
    MAX_DEPTH,
    MAX_SELECTOR_CHARACTERS,
    Selector,
    SelectorError,
    meant_robot,
    parse_selector,
)

ROBOT: dict[str, Fact] = {
    "site": "berlin",
    "hw": "orin-nx",
    "robot": "r1",
    "lines": "3,night shift",
    "rack": "12",
    "battery": 0.4,
    "docked": "false",
    "online": "true",
    "errors": 0.0,
    "model": "detector,detector:1.3",
    "speed": math.nan,
}


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
        ("online", True),
        ("not online", False),
        ("docked", False),
        ("errors", False),
        ("unheard_of", False),
        ("site", True),
        ("model=detector", True),
        ("model=detector:1.3", True),
        ("model=detector:1.2", False),
        ("model!=detector:1.2", True),
        ("lines=3", True),
        ('lines="night shift"', True),
        ('lines="3,night shift"', True),
        ("lines!=3", False),
        ("lines in (1, 3)", True),
        ("lines>2", True),
        ("battery>=0.4", True),
        ("battery>0.4", False),
        ("battery<=4e-1", True),
        ("battery < 1 and battery > -1", True),
        ("battery=0.40", True),
        ("battery in (0.4, 1)", True),
        ("battery=full", False),
        ("rack>9", True),
        ("rack>=12.5", False),
        ("site>1", False),
        ("unheard_of<1", False),
        ("not unheard_of<1", True),
        ("speed<1", False),
        ("speed>=1", False),
        (
            "site=berlin and hw in (orin-nx, thor) and not tag=demo and battery>=0.4 and online",
            True,
        ),
    ],
)
def test_selector_says_who_is_meant(selector: str, selected: bool) -> None:
    assert parse_selector(selector)(ROBOT) is selected


@pytest.mark.parametrize(
    ("selector", "column", "problem"),
    [
        ("", 1, "expected a label"),
        ("site berlin", 6, "expected 'and', 'or' or the end"),
        ("battery>=", 10, "expected a number"),
        ("battery>=full", 10, "expected a number"),
        ("battery>nan", 9, "expected a number"),
        ("battery>1e999", 9, "expected a number"),
        ("battery=>1", 9, "expected a value"),
        ("version<1.10", 8, "'version' is no number; write version=... or version in (..., ...)"),
        ('site="berlin', 6, "'\"' is not understood"),
        ('site=""', 6, "'\"' is not understood"),
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


names = some.text("abz09_.-/", min_size=1, max_size=6) | some.sampled_from(sorted(KEYWORDS))
values = some.text(some.characters(exclude_characters='"', exclude_categories=["C"]), min_size=1)
comparisons = some.builds(
    Compared,
    names,
    some.sampled_from(["<", "<=", ">", ">="]),
    some.floats(-1e15, 1e15).map(lambda bound: float(f"{bound:.6g}")),
)
terms: some.SearchStrategy[Term] = some.recursive(
    some.just(Everybody())
    | some.builds(Stated, names)
    | some.builds(Equals, names, values)
    | some.builds(Differs, names, values)
    | some.builds(OneOf, names, some.lists(values, min_size=1, max_size=3).map(tuple))
    | comparisons,
    lambda inner: (
        some.builds(Not, inner)
        | some.builds(Both, some.lists(inner, min_size=2, max_size=3).map(tuple))
        | some.builds(Either, some.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(terms)
@example(Compared("slip", "<", 5e-324))
def test_a_selector_that_is_written_down_reads_as_it_was_meant(term: Term) -> None:
    text = str(Selector(term))
    assert parse_selector(text) == Selector(term), text


@given(
    some.lists(
        some.sampled_from(
            [
                "a",
                "b",
                "=",
                "!=",
                "<",
                ">=",
                "in",
                "(",
                ")",
                ",",
                "and",
                "or",
                "not",
                "all",
                "1",
                '"x',
            ]
        )
    )
)
def test_any_row_of_tokens_is_a_selector_or_an_error_within_it(tokens: list[str]) -> None:
    text = " ".join(tokens)
    found = selector_or_error(text)
    if isinstance(found, SelectorError):
        assert 0 <= found.position <= len(text)
    else:
        assert parse_selector(str(found)) == found


def selector_or_error(text: str) -> Selector | SelectorError:
    try:
        return parse_selector(text)
    except SelectorError as error:
        return error


@given(some.sampled_from(["site", "hw", "tag"]), some.sampled_from(["berlin", "thor", "orin-nx"]))
def test_not_equal_is_the_opposite_of_equal(label: str, value: str) -> None:
    equal, unequal = parse_selector(f"{label}={value}"), parse_selector(f"{label}!={value}")
    assert equal(ROBOT) is not unequal(ROBOT)


def test_whoever_writes_a_robots_id_for_a_selector_is_told_how_it_is_written() -> None:
    assert meant_robot(" arm-1 ", {"arm-1"}) == " Write robot=arm-1 for the robot of that name."
    assert meant_robot("arm-2", {"arm-1"}) == ""
    assert meant_robot("robot=arm-1", {"arm-1"}) == ""
