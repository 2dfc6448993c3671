"""A batch of reports is written down in one copy, and nobody sees that."""

from __future__ import annotations

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as some

from fleetward.contracts.surroundings import NOTHING_AROUND
from rollout_coordinator.advance import Report, judged, reported
from rollout_coordinator.fold import decided
from tests.unit.rollout_coordinator.scenes import (
    NEW,
    OLD,
    activated,
    alert,
    at,
    fell_back,
    started,
    summary,
)

REPORTS = some.lists(
    some.one_of(
        some.builds(activated, some.integers(1, 4)),
        some.builds(alert, some.integers(1, 4)),
        some.builds(fell_back, some.integers(1, 4)),
        some.builds(
            summary, some.integers(1, 4), some.integers(1, 9), some.sampled_from((OLD, NEW))
        ),
    ),
    max_size=30,
)


@given(REPORTS)
def test_a_batch_ends_where_copying_for_each_report_would(reports: list[Report]) -> None:
    """The looks of a comparison are judged in the midst of a batch."""
    running = started(2, 2)
    before = deepcopy(running)
    made = decided(running, [(fact, at(10)) for fact in reports], at(10))
    assert running == before
    told = heard = running
    for fact in reports[: made.used]:
        heard = reported(heard, fact, at(10))
        if heard.evidence.is_look and heard.evidence is not told.evidence:
            told = heard = judged(heard, at(10), NOTHING_AROUND).rollout
    last = heard if heard is told else judged(heard, at(10), NOTHING_AROUND).rollout
    assert made.step.rollout == last


@given(REPORTS, REPORTS)
def test_what_was_decided_stands_whatever_is_reported_next(
    first: list[Report], second: list[Report]
) -> None:
    made = decided(started(2, 2), [(fact, at(10)) for fact in first], at(10)).step.rollout
    stood = deepcopy(made)
    decided(made, [(fact, at(11)) for fact in second], at(11))
    assert made == stood
