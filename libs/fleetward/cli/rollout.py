"""``fleetward rollout``: start rollouts, follow them, steer them."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.durations import seconds
from fleetward.cli.exits import Exit, exit_of_rollout
from fleetward.cli.pairs import pairs_of
from fleetward.cli.policy import (
    Bake,
    Further,
    MaxErrors,
    MinSuccess,
    SilentAfter,
    Waves,
    policy_of,
)
from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet
from fleetward.contracts.rollouts import AbortMode, ControlAction, Strategy

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.rollouts import Rollout

app = typer.Typer(help="Start rollouts, follow them, steer them.", no_args_is_help=True)

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's id.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", parser=seconds, metavar="DURATION", help="Give up waiting after."),
]
ChosenId = Annotated[
    str | None, typer.Option("--id", help="Choose the id, and asking twice is harmless.")
]


@app.command("start")
def start(
    model: Annotated[str, typer.Argument(help="name:version or name@alias.")],
    *,
    to: Annotated[str, typer.Option("--to", help="Which robots, for example 'site=berlin'.")],
    strategy: Annotated[Strategy, typer.Option(help="How it reaches them.")] = Strategy.CANARY,
    waves: Waves = None,
    bake: Bake = None,
    silent_after: SilentAfter = None,
    min_success: MinSuccess = None,
    max_errors: MaxErrors = None,
    further: Further = None,
    rollout_id: ChosenId = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it ended.")] = False,
    timeout: Timeout = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Roll MODEL out to the robots that --to selects.

    With --wait: 0 succeeded, 4 reverted, 5 aborted, 6 timed out.
    """
    numbers = {
        "bake_s": bake,
        "silent_after_s": silent_after,
        "min_success_percent": min_success,
        "max_error_percent": max_errors,
    }
    policy = policy_of(waves, numbers, pairs_of("--set", further or []))

    async def work(fleet: Fleet) -> Exit | None:
        by = getpass.getuser()
        started = await fleet.start_rollout(
            model, to, strategy=strategy, policy=policy, rollout=rollout_id, requested_by=by
        )
        if wait:
            return await _wait(fleet, started.rollout_id, timeout, as_json=as_json)
        _show(started, as_json=as_json)
        return None

    with_fleet(home, work)


@app.command("status")
def status(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """One rollout as it stands."""

    async def work(fleet: Fleet) -> None:
        _show(await fleet.rollout(rollout), as_json=as_json)

    with_fleet(home, work)


@app.command("list")
def list_rollouts(home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Every rollout, the newest first."""
    from fleetward.cli import plain
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        found = await fleet.rollouts()
        if as_json:
            show_json([plain.rollout(rollout) for rollout in found])
            return
        show_table(
            ["ROLLOUT", "MODEL", "STATE", "WAVE", "ROBOTS", "STARTED", "REASON"],
            [_row(rollout) for rollout in found],
            when_empty="No rollout yet. Start one with `fleetward rollout start`.",
        )

    with_fleet(home, work)


@app.command("watch")
def watch(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Follow a rollout live until it ends; exit codes as with `rollout wait`."""

    async def work(fleet: Fleet) -> Exit:
        return await _follow(fleet, rollout, as_json=as_json)

    with_fleet(home, work)


@app.command("wait")
def wait(
    rollout: RolloutArgument,
    timeout: Timeout = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Return when a rollout ended: 0 succeeded, 4 reverted, 5 aborted, 6 timed out."""

    async def work(fleet: Fleet) -> Exit:
        return await _wait(fleet, rollout, timeout, as_json=as_json)

    with_fleet(home, work)


@app.command("pause")
def pause(rollout: RolloutArgument, home: Home = DEFAULT_HOME) -> None:
    """Give the model to no further robot until resumed; evidence is still judged."""
    _control(home, rollout, ControlAction.PAUSE)


@app.command("resume")
def resume(rollout: RolloutArgument, home: Home = DEFAULT_HOME) -> None:
    """Let a paused rollout go on."""
    _control(home, rollout, ControlAction.RESUME)


@app.command("abort")
def abort(
    rollout: RolloutArgument,
    mode: Annotated[
        AbortMode, typer.Option(help="What becomes of robots that have the new model.")
    ] = AbortMode.REVERT,
    home: Home = DEFAULT_HOME,
) -> None:
    """Stop a rollout for good."""
    _control(home, rollout, ControlAction.ABORT, mode)


def _control(
    home: Path, rollout: str, action: ControlAction, mode: AbortMode = AbortMode.REVERT
) -> None:
    async def work(fleet: Fleet) -> None:
        requested_by = getpass.getuser()
        await fleet.control_rollout(rollout, action, abort=mode, requested_by=requested_by)
        print(f"Asked {rollout} to {action.value}.")

    with_fleet(home, work)


async def _wait(fleet: Fleet, rollout: str, timeout: float | None, *, as_json: bool) -> Exit:
    ended = await fleet.wait_rollout(rollout, timeout_s=timeout)
    _show(ended, as_json=as_json)
    return exit_of_rollout(ended)


async def _follow(fleet: Fleet, rollout: str, *, as_json: bool) -> Exit:
    from rich.live import Live

    from fleetward.cli import plain
    from fleetward.cli.rollout_view import line, view
    from fleetward.cli.tables import console_for_people

    console = console_for_people()
    shown = await fleet.rollout(rollout)
    if as_json or not console.is_terminal:
        async for shown in fleet.watch_rollout(rollout):
            show_json(plain.rollout(shown)) if as_json else print(line(shown), flush=True)
        return exit_of_rollout(shown)
    with Live(view(shown), console=console, auto_refresh=False) as live:
        async for shown in fleet.watch_rollout(rollout):
            live.update(view(shown), refresh=True)
    return exit_of_rollout(shown)


def _show(rollout: Rollout, *, as_json: bool) -> None:
    from fleetward.cli import plain
    from fleetward.cli.rollout_view import view
    from fleetward.cli.tables import console_for_people

    if as_json:
        show_json(plain.rollout(rollout))
    else:
        console_for_people().print(view(rollout))


def _row(rollout: Rollout) -> list[str]:
    return [
        rollout.rollout_id,
        str(rollout.model),
        rollout.state.value,
        f"{rollout.wave + 1}/{len(rollout.waves)}",
        str(len(rollout.robots)),
        f"{rollout.started_at:%Y-%m-%d %H:%M:%S}",
        rollout.reason,
    ]
