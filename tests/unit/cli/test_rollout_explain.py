"""How an explanation reads in a terminal, and what is said of the log it was read from."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from msgspec.structs import replace

from fleetward.cli.rollout_explain import lines, log_line
from fleetward.contracts.decisions import Reason, RolloutExplained
from fleetward.contracts.ids import RolloutId

ANSWER = RolloutExplained(
    rollout_id=RolloutId("r-1"),
    now="r-1 (detector:2) is paused in wave 1 of 3: paused by ann.",
    moves=("`fleetward rollout resume r-1` lets it go on.",),
    why=(
        Reason(
            at=datetime(2026, 1, 1, 12, tzinfo=timezone.utc),
            revision=2,
            cause="ann asked at 2026-01-01 12:00:00 UTC to pause it",
            effect="it is paused: paused by ann",
        ),
    ),
    decisions=2,
    reproduced=2,
)


def test_explanation_says_where_it_stands_what_led_there_and_what_would_move_it() -> None:
    assert lines(ANSWER) == [
        "r-1 (detector:2) is paused in wave 1 of 3: paused by ann.",
        "",
        "What led here:",
        "  2026-01-01 12:00:00 UTC  it is paused: paused by ann "
        "(ann asked at 2026-01-01 12:00:00 UTC to pause it)",
        "",
        "What would move it:",
        "  `fleetward rollout resume r-1` lets it go on.",
        "",
        "The log: 2 decisions, all reproduced.",
    ]


def test_what_led_here_is_told_as_far_as_it_is_kept() -> None:
    title = "What led here, as far as its decisions are kept:"
    assert title in lines(replace(ANSWER, forgotten=7))
    assert title in lines(replace(ANSWER, decisions=9))


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (
            replace(ANSWER, reproduced=1, difference="decision 2: it leads to revision 3"),
            "1 of 2 decisions reproduced, then decision 2: it leads to revision 3.",
        ),
        (
            replace(ANSWER, decisions=0, reproduced=0),
            "no decision on r-1 was logged; there is nothing to make again.",
        ),
        (
            replace(ANSWER, decisions=9),
            "2 of 9 decisions reproduced; the others were made on what is no longer kept.",
        ),
        (
            replace(ANSWER, forgotten=7),
            "2 decisions, all reproduced; no longer kept: 7 further decisions (of those that only "
            "counted telemetry the newest 1024 are).",
        ),
    ],
)
def test_log_that_was_not_made_again_as_a_whole_says_why(
    answer: RolloutExplained, line: str
) -> None:
    assert log_line(answer) == line
