"""Evidence for people: canary against control, metric by metric, and in which strata."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from fleetward.contracts.compared import ERRORS, Metric, compared
from fleetward.contracts.evidence import CohortEvidence, Moments, Spread, Stratum
from fleetward.contracts.rollouts import Rollout

MAX_STRATA_SHOWN = 8
"""Those with most canary robots first."""
NOT_COMPARED = "-"


def evidence_tables(rollout: Rollout) -> list[Table]:
    """Both cohorts as a whole; then each stratum, where there is more than one to tell."""
    signals = [metric.name for metric in compared(rollout.policy) if metric.guard is not None]
    tables = [_cohorts(rollout, signals)]
    if len(rollout.evidence.strata) > 1:
        tables.append(_strata(rollout))
    return tables


def _cohorts(rollout: Rollout, signals: Sequence[str]) -> Table:
    table = Table("", "inferences", "errors", "latency ms", "confidence", *signals, box=None)
    for name, cohort in (
        ("    canary", rollout.evidence.canary),
        ("    control", rollout.evidence.control),
    ):
        table.add_row(name, *_cells(cohort), *(_signal(cohort, signal) for signal in signals))
    return table


def _cells(cohort: CohortEvidence) -> tuple[str, str, str, str]:
    return (
        str(cohort.inferences),
        str(cohort.errors),
        _mean(cohort.latency_ms),
        _mean(cohort.confidence),
    )


def _signal(cohort: CohortEvidence, name: str) -> str:
    return _mean(cohort.signals.get(name, Moments()))


def _mean(moments: Moments) -> str:
    return f"{moments.total / moments.count:.2f}" if moments.count else NOT_COMPARED


def _strata(rollout: Rollout) -> Table:
    """Canary / control in each cell; a stratum with one of them only is not compared."""
    metrics = compared(rollout.policy)
    strata = sorted(rollout.evidence.strata.items(), key=lambda each: -_robots(each[1].canary))
    names = [metric.name for metric in metrics]
    table = Table("    canary / control of", "robots", *names, box=None)
    for key, stratum in strata[:MAX_STRATA_SHOWN]:
        robots = f"{_robots(stratum.canary)} / {_robots(stratum.control)}"
        table.add_row(f"    {_named(key, stratum)}", robots, *_pairs(stratum, metrics))
    if len(strata) > MAX_STRATA_SHOWN:
        table.add_row(f"    and {len(strata) - MAX_STRATA_SHOWN} more")
    return table


def _pairs(stratum: Stratum, metrics: Sequence[Metric]) -> list[str]:
    nobody = (Spread(),) * len(metrics)
    sides = (stratum.canary or nobody, stratum.control or nobody)
    return [
        f"{_value(metric, canary)} / {_value(metric, control)}"
        for metric, canary, control in zip(metrics, *sides, strict=True)
    ]


def _value(metric: Metric, spread: Spread) -> str:
    if not spread.count:
        return NOT_COMPARED
    mean = spread.total / spread.count
    return f"{mean:.2%}" if metric.name == ERRORS else f"{mean:.2f}"


def _robots(cohort: Sequence[Spread]) -> int:
    return max((spread.robots for spread in cohort), default=0)


def _named(key: str, stratum: Stratum) -> str:
    return " on ".join(part for part in (stratum.site, stratum.hardware) if part) or key
