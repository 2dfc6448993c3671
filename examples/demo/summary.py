"""The last page of the demo, for people."""

from __future__ import annotations

from pathlib import Path

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from examples.demo.report import Report


def summary(report: Report, path: Path) -> Group:
    """What was promised and what happened, then rollouts, robots and alerts."""
    verdict = (
        Text("Everything promised happened.", style="bold green")
        if report.kept
        else Text("Something promised did not happen.", style="bold red")
    )
    timings = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in report.timings_s.items())
    return Group(
        _promises(report),
        _rollouts(report),
        _robots(report),
        _alerts(report),
        Text(f"timings: {timings}"),
        Text(f"report: {path}"),
        verdict,
    )


def _promises(report: Report) -> Panel:
    table = Table(box=None, show_header=False)
    for promise in report.promises:
        mark = Text("kept", style="green") if promise.kept else Text("BROKEN", style="bold red")
        table.add_row(mark, promise.promised, Text(promise.seen, style="dim"))
    return Panel(table, title="promises", border_style="green" if report.kept else "red")


def _rollouts(report: Report) -> Table:
    table = _table("rollouts", "model", "strategy", "ended", "why", "MB fetched")
    for line in report.rollouts:
        fetched = report.bytes_moved.get(line.rollout, 0) / 1e6
        model = f"{line.model}:{line.version}"
        table.add_row(line.rollout, model, line.strategy, line.state, line.reason, f"{fetched:.1f}")
    return table


def _robots(report: Report) -> Table:
    table = _table("robots", "serves", "digest", "frames served", "dropped", "reissued")
    for line in report.robots:
        counters = (line.frames_served, line.frames_dropped, line.frames_reissued)
        table.add_row(
            line.id, line.active_version, line.active_digest[:19], *(f"{n:,}" for n in counters)
        )
    return table


def _alerts(report: Report) -> Table:
    table = _table("alerts", "robot", "fired after")
    for line in report.alerts:
        after = "-" if line.fired_after_s is None else f"{line.fired_after_s:.1f} s"
        table.add_row(line.name, line.robot, after)
    return table


def _table(*headings: str) -> Table:
    table = Table(*headings, box=None, header_style="bold", title_justify="left")
    table.columns[0].no_wrap = True
    return table
