"""Evidence for people: canary against control, metric by metric, and in which strata."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from fleetward.contracts.compared import ERRORS, Metric, compared
from fleetward.contracts.evidence import CohortEvidence, Moments, Spread, Stratum
from fleetward.contracts.rollouts import Rollout

MAX_STRATA_SHOWN = 8
"""Those with most canary robots first."""
NOT_COMPARED = "-"
MAX_TABLE_WIDTH = 10_000
"""Columns that a table may ask for before it is compared with those there are."""


class EvidenceView:
    """Both cohorts as a whole; then each stratum, where there is more than one to tell.

    Tables where they fit, or else a paragraph for each of their rows.
    """

    def __init__(self, rollout: Rollout) -> None:
        self._tables = [_cohorts(rollout)]
        if len(rollout.evidence.strata) > 1:
            self._tables.append(_strata(rollout))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        unbound = options.update(max_width=MAX_TABLE_WIDTH)
        for table in self._tables:
            width = Measurement.get(console, unbound, table).maximum
            yield table if width <= options.max_width else _paragraphs(table)


def _paragraphs(table: Table) -> RenderableType:
    """Each row as its name and what its other cells are, without those that say nothing."""
    heads = [str(column.header) for column in table.columns[1:]]
    rows = zip(*(column.cells for column in table.columns), strict=True)
    return Group(*(_paragraph(heads, [str(cell) for cell in row]) for row in rows))


def _paragraph(heads: Sequence[str], row: Sequence[str]) -> RenderableType:
    name, *cells = row
    said = [f"{head} {cell}" for head, cell in zip(heads, cells, strict=True) if _is_said(cell)]
    text = f"{name.strip()}: {', '.join(said)}" if said else name.strip()
    return Padding(Text(text), (0, 0, 0, 4), expand=False)


def _is_said(cell: str) -> bool:
    return cell not in ("", NOT_COMPARED, f"{NOT_COMPARED} / {NOT_COMPARED}")


def _cohorts(rollout: Rollout) -> Table:
    signals = [metric.name for metric in compared(rollout.policy) if metric.guard is not None]
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
