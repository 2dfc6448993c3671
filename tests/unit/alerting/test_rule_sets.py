"""When robots are sent another set of rules, and under which revision."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from alerting.rule_sets import next_set
from fleetward.contracts.ids import AlertName
from fleetward.contracts.rule_sets import CompiledRule, RuleSet

NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)
ONE = (CompiledRule(alert=AlertName("One"), compiled=b"1"),)
OTHER = (CompiledRule(alert=AlertName("Other"), compiled=b"2"),)


def after(there: RuleSet | None, rules: tuple[CompiledRule, ...], now: datetime) -> RuleSet:
    following = next_set(there, rules, 300.0, now)
    assert following is not None
    return following


def test_the_same_rules_are_not_sent_again() -> None:
    first = after(None, ONE, NOON)
    assert next_set(first, ONE, 300.0, NOON + timedelta(days=1)) is None


def test_other_rules_or_another_lookback_are_sent_and_no_rules_are_a_set_too() -> None:
    first = after(None, ONE, NOON)
    assert after(first, OTHER, NOON).rules == OTHER
    assert after(first, (), NOON).rules == ()
    assert next_set(first, ONE, 60.0, NOON) is not None


def test_the_revision_counts_up_although_the_clock_is_set_back() -> None:
    first = after(None, ONE, NOON)
    second = after(first, OTHER, NOON - timedelta(days=400))
    assert second.revision == first.revision + 1
    assert after(second, ONE, NOON).revision == second.revision + 1


def test_what_somebody_else_wrote_in_its_place_does_not_make_the_revision_smaller() -> None:
    ahead = after(None, ONE, NOON + timedelta(days=400))  # the clock was wrong then
    again = next_set(None, ONE, 300.0, NOON, newest=ahead.revision)
    assert again is not None
    assert again.revision == ahead.revision + 1


def test_the_revision_is_past_what_robots_remember_although_the_hub_lost_what_it_sent() -> None:
    sent = after(after(None, ONE, NOON), OTHER, NOON + timedelta(hours=1))
    assert after(None, ONE, NOON + timedelta(hours=2)).revision > sent.revision
