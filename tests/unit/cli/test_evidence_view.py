"""An operator sees what is compared, metric by metric, and where it cannot be compared."""

from __future__ import annotations

import io

import pytest
import typer
from msgspec.structs import replace
from rich.console import Console

from fleetward.cli import plain
from fleetward.cli.evidence_view import MAX_STRATA_SHOWN
from fleetward.cli.rollout_signals import signals_of
from fleetward.cli.rollout_view import view
from fleetward.contracts.evidence import (
    CohortEvidence,
    Evidence,
    Moments,
    Per,
    SignalGuard,
    Spread,
    Stratum,
    Worse,
)
from fleetward.contracts.rollouts import Rollout
from tests.unit.cli.rollouts import NOW, rollout

HOT = SignalGuard(signal="hw.temperature", tolerance=5.0)
SLOW = (Spread(2, count=20, total=900.0), Spread(2, count=20, total=5.0), Spread())
FAST = (Spread(8, count=80, total=1600.0), Spread(8, count=80, total=0.0), Spread())


def shown(rollout: Rollout, width: int = 200) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(view(rollout, NOW))
    return console.export_text()


def seen(strata: dict[str, Stratum]) -> Rollout:
    cohort = CohortEvidence(inferences=20, latency_ms=Moments(count=20, total=900.0))
    return replace(rollout(), evidence=Evidence(canary=cohort, strata=strata))


def test_each_site_and_hardware_is_shown_with_both_cohorts() -> None:
    oslo, bergen = Stratum("oslo", "nano", SLOW, FAST), Stratum("bergen", "", SLOW, ())
    text = shown(seen({"oslo/nano": oslo, "bergen/": bergen}))
    (first,) = [line for line in text.splitlines() if "oslo on nano" in line]
    assert first.split() == [
        *("oslo", "on", "nano", "2", "/", "8", "45.00", "/", "20.00"),
        *("25.00%", "/", "0.00%", "-", "/", "-"),
    ]
    (second,) = [line for line in text.splitlines() if "bergen" in line]
    assert second.split()[:7] == ["bergen", "2", "/", "0", "45.00", "/", "-"]


def test_a_fleet_of_one_kind_is_shown_as_a_whole_only() -> None:
    assert "oslo" not in shown(seen({"oslo/nano": Stratum("oslo", "nano", SLOW, FAST)}))


def test_of_many_strata_those_with_most_canary_robots_are_shown() -> None:
    few, many = (Spread(1, count=1, total=1.0),) * 3, (Spread(9, count=9, total=9.0),) * 3
    strata = {f"s{n}/": Stratum(f"s{n}", "", few, few) for n in range(MAX_STRATA_SHOWN + 1)}
    text = shown(seen({**strata, "big/": Stratum("big", "", many, few)}))
    assert "big" in text
    assert "and 2 more" in text


def test_where_a_table_does_not_fit_each_of_its_rows_is_a_paragraph() -> None:
    oslo, bergen = Stratum("oslo", "nano", SLOW, FAST), Stratum("bergen", "", SLOW, ())
    lines = shown(seen({"oslo/nano": oslo, "bergen/": bergen}), width=40).splitlines()
    text = " ".join(" ".join(lines).split())
    assert "canary: inferences 20, errors 0, latency ms 45.00 control: inferences 0" in text
    assert "oslo on nano: robots 2 / 8, latency ms 45.00 / 20.00, error rate 25.00% / 0.00%" in text
    assert all(len(line) <= 40 for line in lines)


def test_a_named_signal_is_shown_beside_the_others() -> None:
    warm = CohortEvidence(inferences=1, signals={"hw.temperature": Moments(count=2, total=123.0)})
    judged = replace(rollout().policy, signals=(HOT,))
    text = shown(replace(rollout(), policy=judged, evidence=Evidence(canary=warm)))
    assert "hw.temperature" in text
    assert "61.50" in text


def test_json_tells_of_every_stratum() -> None:
    (told,) = plain.rollout(seen({"oslo/nano": Stratum("oslo", "nano", SLOW, FAST)}))["strata"]
    assert told["canary"]["latency ms"] == {"robots": 2, "mean": 45.0}
    assert told["control"]["error rate"] == {"robots": 8, "mean": 0.0}


def test_a_signal_is_written_as_name_way_and_tolerance() -> None:
    words = ["hw.temperature:higher:5", "grip:lower:10%", "model.output.max:either:2sd"]
    assert signals_of(words) == (
        HOT,
        SignalGuard(signal="grip", worse=Worse.LOWER, tolerance=0.1, per=Per.SHARE),
        SignalGuard(
            signal="model.output.max", worse=Worse.EITHER, tolerance=2.0, per=Per.DEVIATION
        ),
    )


@pytest.mark.parametrize(
    "word", ["hw.temperature", "a:up:5", "a:higher:hot", "a:lower:", "a:b:c:d"]
)
def test_a_signal_that_says_too_little_is_refused_with_an_example(word: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"write for example hw\.temperature:higher:5"):
        signals_of([word])
