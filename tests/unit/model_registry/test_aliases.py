"""An alias moves only from where the caller believes it to be, and remembers where it was."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetward.contracts.ids import alias_name, model_name, version
from fleetward.contracts.registry import (
    MAX_ALIAS_MOVES_KEPT,
    AliasMoved,
    ModelRecord,
    MoveAlias,
)
from model_registry.aliases import MAX_ALIASES_PER_MODEL, move
from model_registry.errors import AliasConflictError, UnknownModelError
from model_registry.publication import publish
from tests.unit.model_registry.candidates import NOW, candidate, sign

VERSIONS = ("1.0", "1.1", "2.0")


def record() -> ModelRecord:
    standing = ModelRecord(name=model_name("detector"))
    for release in VERSIONS:
        standing = publish(standing, candidate(release, release), NOW, sign).record
    return standing


def request(to: str, expected: str | None = None, alias: str = "production") -> MoveAlias:
    return MoveAlias(
        name=model_name("detector"),
        alias=alias_name(alias),
        version=version(to),
        expected=version(expected) if expected else None,
    )


def test_new_alias_is_set_and_announced() -> None:
    step = move(record(), request("1.0"), NOW)

    assert step.record.aliases == {"production": "1.0"}
    assert step.facts == (
        AliasMoved(
            name=model_name("detector"),
            alias=alias_name("production"),
            version=version("1.0"),
            moved_at=NOW,
        ),
    )


def test_move_from_where_it_stands_names_what_it_left() -> None:
    standing = move(record(), request("1.0"), NOW).record

    step = move(standing, request("2.0", expected="1.0"), NOW + timedelta(seconds=1))

    assert step.record.aliases == {"production": "2.0"}
    (fact,) = step.facts
    assert isinstance(fact, AliasMoved)
    assert fact.previous_version == "1.0"
    assert [(step.alias, step.version) for step in step.record.alias_history] == [
        ("production", "1.0"),
        ("production", "2.0"),
    ]


@pytest.mark.parametrize("expected", [None, "1.1"])
def test_move_from_where_it_no_longer_stands_is_refused(expected: str | None) -> None:
    standing = move(record(), request("1.0"), NOW).record

    with pytest.raises(AliasConflictError, match=r"it names 1\.0"):
        move(standing, request("2.0", expected), NOW + timedelta(seconds=1))


def test_alias_to_an_unpublished_version_is_refused() -> None:
    with pytest.raises(UnknownModelError, match=r"detector:9\.9 is not published"):
        move(record(), request("9.9"), NOW)


def test_the_same_move_decided_twice_is_done_once() -> None:
    """A save whose acknowledgement was lost is decided again from the saved record."""
    standing = move(record(), request("1.0"), NOW).record

    again = move(standing, request("1.0"), NOW)

    assert again.record == standing
    assert again.facts == ()


def test_a_model_has_a_limited_number_of_aliases() -> None:
    standing = record()
    for number in range(MAX_ALIASES_PER_MODEL):
        standing = move(standing, request("1.0", alias=f"site-{number}"), NOW).record

    with pytest.raises(AliasConflictError, match="64 aliases"):
        move(standing, request("1.0", alias="one-more"), NOW)


@given(st.lists(st.tuples(st.sampled_from(VERSIONS), st.sampled_from([None, *VERSIONS]))))
def test_every_granted_move_left_exactly_what_its_caller_expected(
    asked: list[tuple[str, str | None]],
) -> None:
    standing, current, moves = record(), None, 0
    for number, (to, expected) in enumerate(asked):
        now = NOW + timedelta(seconds=number)
        if expected != current:
            with pytest.raises(AliasConflictError):
                move(standing, request(to, expected), now)
            continue
        standing, current, moves = move(standing, request(to, expected), now).record, to, moves + 1

    assert standing.aliases.get(alias_name("production")) == current
    assert len(standing.alias_history) == min(moves, MAX_ALIAS_MOVES_KEPT)


def test_history_keeps_the_newest_moves() -> None:
    standing, current = record(), None
    for number in range(MAX_ALIAS_MOVES_KEPT + 5):
        to = VERSIONS[number % 2]
        standing = move(standing, request(to, current), NOW + timedelta(seconds=number)).record
        current = to

    assert len(standing.alias_history) == MAX_ALIAS_MOVES_KEPT
    assert standing.alias_history[-1].version == current
    assert standing.alias_history[0].moved_at == NOW + timedelta(seconds=5)
