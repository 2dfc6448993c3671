"""What an interlock says, what a malformed one is told, and that not knowing never lets a robot swap."""

from __future__ import annotations

import math

import pytest

from fleetward.contracts.interlocks import (
    MAX_INTERLOCKS,
    Compared,
    FactReported,
    InterlockError,
    Stated,
    check_fact_name,
    check_interlocks,
    parse_interlock,
    reason_against,
)
from fleetward.contracts.policies import check_policy
from fleetward.contracts.rollouts import RolloutPolicy

MAX_AGE_S = 5.0


def known(value: bool | float, age_s: float = 0.0) -> FactReported:
    return FactReported(value=value, age_s=age_s)


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        ("docked", Stated(name="docked")),
        ("estop_clear", Stated(name="estop_clear")),
        ("not moving", Stated(name="moving", negated=True)),
        ("battery>=0.3", Compared(name="battery", sign=">=", bound=0.3)),
        ("arm.speed < 1", Compared(name="arm.speed", sign="<", bound=1.0)),
        ("temperature<=-2.5", Compared(name="temperature", sign="<=", bound=-2.5)),
    ],
)
def test_an_interlock_reads_as_written(text: str, predicate: object) -> None:
    assert parse_interlock(text) == predicate


@pytest.mark.parametrize(
    "text",
    ["", "Docked", "not", "not not docked", "battery>=", "battery>=full", "a and b", "battery=0.3",
     "battery>=nan", "9lives", "docked\n", "x" * 101, "battery>=0.3 docked"],
)  # fmt: skip
def test_a_malformed_interlock_is_refused_where_a_rollout_is_planned(text: str) -> None:
    with pytest.raises(InterlockError, match="is not valid"):
        check_policy(RolloutPolicy(interlocks=(text,)))


def test_too_many_interlocks_are_refused() -> None:
    check_interlocks(["docked"] * MAX_INTERLOCKS)
    with pytest.raises(InterlockError, match="more than"):
        check_interlocks(["docked"] * (MAX_INTERLOCKS + 1))


@pytest.mark.parametrize("name", ["", "Docked", "not", "a b", "x" * 65])
def test_a_fact_that_no_interlock_can_name_is_refused(name: str) -> None:
    with pytest.raises(InterlockError, match="cannot be called"):
        check_fact_name(name)


@pytest.mark.parametrize(
    ("interlock", "holding", "against"),
    [
        ("docked", known(True), known(False)),
        ("not moving", known(False), known(True)),
        ("battery>=0.3", known(0.3), known(0.29)),
        ("battery<0.3", known(0.29), known(0.3)),
        ("load==2", known(2.0), known(2.1)),
    ],
)
def test_a_predicate_holds_for_a_fresh_fact_of_its_kind_and_flips_with_it(
    interlock: str, holding: FactReported, against: FactReported
) -> None:
    name = parse_interlock(interlock).name
    assert reason_against([interlock], {name: holding}, MAX_AGE_S) == ""
    assert interlock in reason_against([interlock], {name: against}, MAX_AGE_S)


@pytest.mark.parametrize(
    "fact",
    [
        None,
        known(True, age_s=5.1),
        known(True, age_s=-0.1),
        known(True, age_s=math.nan),
        known(1.0),
        known(0.0),
    ],
    ids=repr,
)
def test_a_fact_that_is_unknown_old_from_the_future_or_no_truth_does_not_hold(
    fact: FactReported | None,
) -> None:
    facts = {"docked": fact} if fact else {}
    assert reason_against(["docked"], facts, MAX_AGE_S)
    assert fact is None or reason_against(["not docked"], facts, MAX_AGE_S)


@pytest.mark.parametrize("value", [True, False, math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_does_not_hold_against_any_bound(value: bool | float) -> None:
    for sign in (">=", "<=", ">", "<", "=="):
        assert reason_against([f"battery{sign}0.3"], {"battery": known(value)}, MAX_AGE_S)


def test_an_interlock_of_a_later_language_does_not_hold() -> None:
    assert "no interlock" in reason_against(["docked or idle"], {"docked": known(True)}, MAX_AGE_S)


def test_every_interlock_that_does_not_hold_is_named() -> None:
    facts = {"docked": known(True), "battery": known(0.1)}
    reason = reason_against(["docked", "battery>=0.3", "idle"], facts, MAX_AGE_S)
    assert reason == "battery>=0.3: battery is 0.1; idle: nobody reported idle"
