"""The live view: robots, the rollout under way, alerts, and the story so far."""

from __future__ import annotations

import io
import re
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from examples.demo.observer import Happening, Observer
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutState

STORY_LINES = 12
PICTURE_COLUMNS = 118
_MOODS = {
    "plain": "white",
    "good": "green",
    "bad": "bold red",
    "act": "bold cyan",
    "break": "yellow",
}
_STATES = {
    RolloutState.RUNNING: "cyan",
    RolloutState.PAUSED: "yellow",
    RolloutState.REVERTING: "red",
    RolloutState.SUCCEEDED: "green",
    RolloutState.REVERTED: "magenta",
    RolloutState.ABORTED: "magenta",
    RolloutState.REFUSED: "red",
}
_PHASES = {
    RobotPhase.WAITING: "dim",
    RobotPhase.TARGETED: "cyan",
    RobotPhase.PROVED: "green",
    RobotPhase.FAILED: "bold red",
    RobotPhase.UNKNOWN: "yellow",
    RobotPhase.REVERTING: "red",
    RobotPhase.REVERTED: "magenta",
}


class View:
    """Renders an observer; rich asks it again several times a second."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One picture of the fleet as it is now."""
        yield Group(self._robots(), self._rollout(), self._story())

    def _robots(self) -> Panel:
        observer = self._observer
        table = Table(box=None, expand=True)
        for heading in ("robot", "serves", "in this rollout", "frames", "dropped", "latency"):
            table.add_column(heading, justify="left" if heading in {"robot", "serves"} else "right")
        table.add_column("confidence", justify="right")
        table.add_column("alerts")
        for robot in sorted(observer.newest):
            table.add_row(*self._row(robot))
        return Panel(
            table, title=f"Fleetward demo, {observer.elapsed_s():.0f} s", border_style="blue"
        )

    def _row(self, robot: RobotId) -> tuple[Text | str, ...]:
        observer = self._observer
        summary = observer.summaries.get(robot)
        latency = confidence = "-"
        if summary is not None and summary.inferences:
            latency = f"{summary.latency_ms_sum / summary.inferences:.1f} ms"
        if summary is not None and summary.confidence_count:
            confidence = f"{summary.confidence_sum / summary.confidence_count:.2f}"
        alerts = ", ".join(alert for who, alert in sorted(observer.firing) if who == robot)
        return (
            robot,
            observer.version_of(observer.newest[robot].active_digest),
            _phase(observer.rollout, robot),
            f"{observer.total(robot, 'frames_served'):,}",
            f"{observer.total(robot, 'frames_dropped'):,}",
            latency,
            confidence,
            Text(alerts, style="bold red"),
        )

    def _rollout(self) -> Panel:
        rollout = self._observer.rollout
        if rollout is None:
            return Panel("no rollout yet", title="rollout", border_style="dim")
        waves = " | ".join(
            f"[{'bold' if number == rollout.wave + 1 else 'dim'}]wave {number}: {', '.join(wave)}[/]"
            for number, wave in enumerate(rollout.waves, start=1)
        )
        state = f"[{_STATES[rollout.state]}]{rollout.state.value}[/] {rollout.reason}"
        title = f"rollout {rollout.rollout_id}: {rollout.model}"
        return Panel(f"{state}\n{waves}", title=title, border_style=_STATES[rollout.state])

    def _story(self) -> Panel:
        lines = self._observer.lines[-STORY_LINES:]
        return Panel(Group(*(told(line) for line in lines)), title="story", border_style="dim")


def save_picture(view: View, path: Path) -> None:
    """Draw the view as it is now into an SVG file."""
    console = Console(record=True, width=PICTURE_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(view)
    path.write_text(_without_web_fonts(console.export_svg(title="fleetward demo")), "utf-8")


def _without_web_fonts(svg: str) -> str:
    """The picture in whatever monospace font the reader has: nothing is fetched to look at it."""
    return re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)


def told(line: Happening) -> Text:
    """One line of the story."""
    return Text(f"{line.at_s:6.1f} s  {line.text}", style=_MOODS[line.mood])


def _phase(rollout: Rollout | None, robot: RobotId) -> Text:
    progress = rollout.robots.get(robot) if rollout is not None else None
    if progress is None:
        return Text("-", style="dim")
    return Text(progress.phase.value, style=_PHASES[progress.phase])
