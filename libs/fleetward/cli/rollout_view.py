"""A rollout for people: where it stands, whose robots are in trouble, the evidence, what it awaits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from fleetward.cli.evidence_view import EvidenceView
from fleetward.cli.rollout_waits import is_held, waiting_for
from fleetward.contracts.ids import RobotId
from fleetward.contracts.model_sets import called, models
from fleetward.contracts.places import place_of
from fleetward.contracts.robots import Fetching
from fleetward.contracts.rollouts import (
    RobotPhase,
    RobotProgress,
    Rollout,
    RolloutState,
    Strategy,
)

MAX_ROBOTS_SHOWN = 24
"""Of one wave; those in trouble first, so that none of them is hidden by many that do well."""

NOBODY_FETCHES: Mapping[RobotId, Fetching] = MappingProxyType({})

_STATE_STYLE = {
    RolloutState.SCHEDULED: "blue",
    RolloutState.QUEUED: "blue",
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
    RobotPhase.STAGED: ("◐", "cyan"),
    RobotPhase.PROVED: ("✓", "green"),
    RobotPhase.FAILED: ("✗", "red"),
    RobotPhase.UNKNOWN: ("?", "yellow"),
    RobotPhase.REVERTING: ("↺", "magenta"),
    RobotPhase.REVERTED: ("↩", "blue"),
    RobotPhase.SUPERSEDED: ("⇢", "dim"),
}
_TROUBLE_FIRST = (
    RobotPhase.FAILED,
    RobotPhase.UNKNOWN,
    RobotPhase.REVERTING,
    RobotPhase.REVERTED,
    RobotPhase.SUPERSEDED,
    RobotPhase.TARGETED,
    RobotPhase.STAGED,
    RobotPhase.PROVED,
    RobotPhase.WAITING,
)


def view(
    rollout: Rollout, now: datetime, fetching: Mapping[RobotId, Fetching] = NOBODY_FETCHES
) -> RenderableType:
    """The whole rollout as one renderable, ``now`` being the moment it is looked at.

    ``fetching``: how far robots are whose model is on its way.
    """
    parts: list[RenderableType] = [_headline(rollout), *_pipelines(rollout)]
    for number in range(len(rollout.waves)):
        parts += _wave(rollout, number, fetching)
    if rollout.evidence.canary.inferences or rollout.evidence.control.inferences:
        parts.append(EvidenceView(rollout))
    if rollout.reason:
        parts.append(_indented(Text(rollout.reason, style="yellow"), 2))
    waiting = waiting_for(rollout, now)
    if waiting:
        parts.append(_indented(Text(waiting, style="cyan"), 2))
    return Group(*parts)


def fetched_so_far(fetching: Fetching) -> str:
    """12.4 of 34.0 MB."""
    return f"{fetching.bytes_done / 1e6:.1f} of {fetching.bytes_total / 1e6:.1f} MB"


def line(rollout: Rollout) -> str:
    """The same in one line, for logs."""
    counted = " ".join(
        f"{phase.value}={number}" for phase in RobotPhase if (number := _in_phase(rollout, phase))
    )
    reason = f" ({rollout.reason})" if rollout.reason else ""
    held = f" held: {rollout.withheld}" if is_held(rollout) else ""
    wave = f"wave {rollout.wave + 1}/{len(rollout.waves)}" if rollout.waves else "planned later"
    return f"{rollout.rollout_id} {called(rollout)} {rollout.state.value} {wave} {counted}{held}{reason}"


def _headline(rollout: Rollout) -> Text:
    variants = ", ".join(variant.model.version for variant in rollout.variants)
    given = f"{called(rollout)} ({variants})" if variants else called(rollout)
    return Text.assemble(
        (f"{rollout.rollout_id}  ", "bold"),
        f"{given}  {rollout.strategy.value}  ",
        ("ending the shadow", "cyan")
        if _ends_a_shadow(rollout)
        else (rollout.state.value, _STATE_STYLE[rollout.state]),
    )


def _pipelines(rollout: Rollout) -> list[RenderableType]:
    """Where the model stands on robots that have pipelines beside their own."""
    robots, told = rollout.robots.values(), list[str]()
    for name in models(rollout):
        held = sum(place_of(name, progress.pipelines) is not None for progress in robots)
        whose = "all of them" if held == len(robots) else f"{held} of {len(robots)} robots"
        told += [f"{name} in the pipeline of its name on {whose}"] if held else []
    if rollout.together:
        told.append("all switch at one instant on each robot, or none does")
    return [_indented(Text(each, style="dim"), 2) for each in told]


def _ends_a_shadow(rollout: Rollout) -> bool:
    """Robots give a model up that did well in the shadow: nothing is taken back."""
    is_shadow = rollout.strategy is Strategy.SHADOW
    is_reverting = rollout.state is RolloutState.REVERTING
    return is_shadow and is_reverting and rollout.ends_as is RolloutState.SUCCEEDED


def _spoken_phase(rollout: Rollout, phase: RobotPhase) -> str:
    """A robot that ended its shadow went back to nothing: it never left what it serves."""
    did_well = RolloutState.SUCCEEDED in (rollout.state, rollout.ends_as)
    if rollout.strategy is Strategy.SHADOW and phase is RobotPhase.REVERTED and did_well:
        return "shadow ended"
    return phase.value


def _wave(
    rollout: Rollout, number: int, fetching: Mapping[RobotId, Fetching]
) -> list[RenderableType]:
    """One line of robots, then a line for each that has something to say."""
    robots = sorted(rollout.waves[number], key=lambda robot: _urgency(rollout, robot))
    shown, hidden = robots[:MAX_ROBOTS_SHOWN], robots[MAX_ROBOTS_SHOWN:]
    is_current = number == rollout.wave and rollout.ended_at is None
    text = Text("  ▸ " if is_current else "    ")
    text.append(f"wave {number + 1}{_role(rollout, number)}", "bold")
    quiet = [robot for robot in shown if not _progress(rollout, robot).reason]
    for robot in quiet:
        text.append("  ").append(_robot(rollout, robot, fetching.get(robot)))
    if hidden:
        text.append(f"  and {_counted(rollout, hidden)}", "dim")
    spoken = [robot for robot in shown if _progress(rollout, robot).reason]
    return [text, *(_indented(_robot(rollout, robot, None), 6) for robot in spoken)]


def _role(rollout: Rollout, number: int) -> str:
    """What a wave is for, where it is not just the next one."""
    if rollout.strategy is Strategy.CANARY and number == 0:
        return " (canary)"
    return " (control, keeps what it has)" if rollout.strategy is Strategy.A_B and number else ""


def _robot(rollout: Rollout, robot: RobotId, fetching: Fetching | None) -> Text:
    progress = _progress(rollout, robot)
    mark, style = _PHASE_MARK[progress.phase]
    text = Text(f"{mark} {robot} {_spoken_phase(rollout, progress.phase)}", style)
    if fetching is not None and progress.phase is RobotPhase.TARGETED:
        text.append(f" {fetched_so_far(fetching)}", "not dim")
    return text.append(f" ({progress.reason})", "not dim") if progress.reason else text


def _progress(rollout: Rollout, robot: RobotId) -> RobotProgress:
    return rollout.robots.get(robot) or RobotProgress()


def _urgency(rollout: Rollout, robot: RobotId) -> int:
    return _TROUBLE_FIRST.index(_progress(rollout, robot).phase)


def _counted(rollout: Rollout, robots: list[RobotId]) -> str:
    phases = Counter(_progress(rollout, robot).phase.value for robot in robots)
    counts = ", ".join(f"{number} {phase}" for phase, number in phases.items())
    return f"{len(robots)} more: {counts}"


def _indented(text: Text, columns: int) -> Padding:
    return Padding(text, (0, 0, 0, columns), expand=False)


def _in_phase(rollout: Rollout, phase: RobotPhase) -> int:
    return sum(progress.phase is phase for progress in rollout.robots.values())
