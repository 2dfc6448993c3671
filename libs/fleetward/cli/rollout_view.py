"""A rollout for people: where it stands, each wave's robots, canary against control, why."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fleetward.contracts.rollouts import (
    CohortEvidence,
    Moments,
    RobotPhase,
    Rollout,
    RolloutState,
)

MAX_ROBOTS_SHOWN = 24

_STATE_STYLE = {
    RolloutState.RUNNING: "cyan",
    RolloutState.PAUSED: "yellow",
    RolloutState.REVERTING: "magenta",
    RolloutState.SUCCEEDED: "bold green",
    RolloutState.REVERTED: "bold red",
    RolloutState.ABORTED: "bold red",
    RolloutState.REFUSED: "bold red",
}
_PHASE_MARK = {
    RobotPhase.WAITING: ("·", "dim"),
    RobotPhase.TARGETED: ("…", "cyan"),
    RobotPhase.PROVED: ("✓", "green"),
    RobotPhase.FAILED: ("✗", "red"),
    RobotPhase.UNKNOWN: ("?", "yellow"),
    RobotPhase.REVERTING: ("↺", "magenta"),
    RobotPhase.REVERTED: ("↩", "blue"),
}


def view(rollout: Rollout) -> RenderableType:
    """The whole rollout as one renderable."""
    parts: list[RenderableType] = [_headline(rollout)]
    parts += [_wave(rollout, number) for number in range(len(rollout.waves))]
    if rollout.evidence.canary.inferences or rollout.evidence.control.inferences:
        parts.append(_evidence(rollout))
    if rollout.reason:
        parts.append(Text(f"  {rollout.reason}", style="yellow"))
    return Group(*parts)


def line(rollout: Rollout) -> str:
    """The same in one line, for logs."""
    counted = " ".join(
        f"{phase.value}={number}" for phase in RobotPhase if (number := _in_phase(rollout, phase))
    )
    reason = f" ({rollout.reason})" if rollout.reason else ""
    wave = f"wave {rollout.wave + 1}/{len(rollout.waves)}"
    return f"{rollout.rollout_id} {rollout.model} {rollout.state.value} {wave} {counted}{reason}"


def _headline(rollout: Rollout) -> Text:
    return Text.assemble(
        (f"{rollout.rollout_id}  ", "bold"),
        f"{rollout.model}  {rollout.strategy.value}  ",
        (rollout.state.value, _STATE_STYLE[rollout.state]),
    )


def _wave(rollout: Rollout, number: int) -> Text:
    robots = rollout.waves[number]
    is_current = number == rollout.wave and rollout.ended_at is None
    text = Text("  ▸ " if is_current else "    ")
    text.append(f"wave {number + 1}" + (" (canary)  " if number == 0 else "  "), "bold")
    for robot in robots[:MAX_ROBOTS_SHOWN]:
        progress = rollout.robots.get(robot)
        phase = progress.phase if progress else RobotPhase.WAITING
        mark, style = _PHASE_MARK[phase]
        text.append(f"{mark} {robot} {phase.value}  ", style)
        if progress and progress.reason:
            text.append(f"({progress.reason})  ", "dim")
    if len(robots) > MAX_ROBOTS_SHOWN:
        text.append(f"and {len(robots) - MAX_ROBOTS_SHOWN} more", "dim")
    return text


def _evidence(rollout: Rollout) -> Table:
    table = Table("", "inferences", "errors", "latency ms", "confidence", box=None)
    for name, cohort in (
        ("    canary", rollout.evidence.canary),
        ("    control", rollout.evidence.control),
    ):
        table.add_row(name, *_cells(cohort))
    return table


def _cells(cohort: CohortEvidence) -> tuple[str, str, str, str]:
    return (
        str(cohort.inferences),
        str(cohort.errors),
        _mean(cohort.latency_ms),
        _mean(cohort.confidence),
    )


def _mean(moments: Moments) -> str:
    return f"{moments.total / moments.count:.2f}" if moments.count else "-"


def _in_phase(rollout: Rollout, phase: RobotPhase) -> int:
    return sum(progress.phase is phase for progress in rollout.robots.values())
