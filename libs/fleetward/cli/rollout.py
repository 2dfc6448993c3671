"""``fleetward rollout``: start rollouts, follow them, steer them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import replace

from fleetward.cli.choices import one_of, words_of
from fleetward.cli.durations import seconds
from fleetward.cli.exits import Exit, tell
from fleetward.cli.pairs import pairs_of
from fleetward.cli.policy import (
    Bake,
    ByteCap,
    Further,
    MaxErrors,
    MinSuccess,
    SilentAfter,
    Waves,
    policy_of,
)
from fleetward.cli.quote import quote
from fleetward.cli.rollout_gates import Gates, approve, gates_of, reject
from fleetward.cli.rollout_signals import Signals, signals_of
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
To = Annotated[
    str,
    typer.Option(
        "--to",
        help="Which robots: all, or labels and live facts, as 'site=berlin and hw in (orin-nx, thor) "
        "and not tag=demo and online and battery>=0.4'; 'robot=arm-7' is one robot.",
    ),
]
HowItReaches = Annotated[
    Strategy,
    typer.Option(
        "--strategy",
        parser=one_of(Strategy),
        metavar=words_of(Strategy),
        show_default=Strategy.CANARY.value,
        help="How it reaches them.",
    ),
]
Mode = Annotated[
    AbortMode,
    typer.Option(
        "--mode",
        parser=one_of(AbortMode),
        metavar=words_of(AbortMode),
        show_default=AbortMode.REVERT.value,
        help="What becomes of robots that have the new model.",
    ),
]


@app.command("start")
def start(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="name:version or name@alias.")],
    *,
    to: To,
    strategy: HowItReaches = Strategy.CANARY,
    waves: Waves = None,
    bake: Bake = None,
    silent_after: SilentAfter = None,
    min_success: MinSuccess = None,
    max_errors: MaxErrors = None,
    byte_cap: ByteCap = None,
    gates: Gates = None,
    signals: Signals = None,
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
        "byte_cap": byte_cap,
    }
    policy = policy_of(waves, numbers, pairs_of("--set", further or []))
    policy = replace(policy, gates=gates_of(gates or []), signals=signals_of(signals or []))

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.cli.rollout_control import asking

        started = await fleet.start_rollout(
            model, to, strategy=strategy, policy=policy, rollout=rollout_id, requested_by=asking()
        )
        return await _after_start(fleet, started, timeout, wait=wait, as_json=as_json)

    with_fleet(home, work)


async def _after_start(
    fleet: Fleet, started: Rollout, timeout: float | None, *, wait: bool, as_json: bool
) -> Exit | None:
    """Name the id first: who is interrupted while waiting needs it."""
    from fleetward.cli import rollout_follow

    wanted = started.rollout_id
    follow = f"Follow it with `fleetward rollout watch {wanted}`."
    if wait:
        tell(f"{wanted} has started. {follow}")
        return await rollout_follow.wait(fleet, wanted, timeout, as_json=as_json)
    rollout_follow.show_rollout(started, as_json=as_json)
    if not as_json:
        print(follow)
    return None


app.command("quote")(quote)
app.command("approve")(approve)
app.command("reject")(reject)


@app.command("status")
def status(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """One rollout as it stands."""

    async def work(fleet: Fleet) -> None:
        from fleetward.cli.rollout_follow import show_rollout

        show_rollout(await fleet.rollout(rollout), as_json=as_json)

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
        from fleetward.cli import rollout_follow

        return await rollout_follow.watch(fleet, rollout, as_json=as_json)

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
        from fleetward.cli import rollout_follow

        return await rollout_follow.wait(fleet, rollout, timeout, as_json=as_json)

    with_fleet(home, work)


@app.command("pause")
def pause(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Give the model to no further robot until resumed; evidence is still judged."""
    _control(home, rollout, ControlAction.PAUSE, as_json=as_json)


@app.command("resume")
def resume(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Let a paused rollout go on."""
    _control(home, rollout, ControlAction.RESUME, as_json=as_json)


@app.command("abort")
def abort(
    rollout: RolloutArgument,
    mode: Mode = AbortMode.REVERT,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Stop a rollout for good."""
    _control(home, rollout, ControlAction.ABORT, mode, as_json=as_json)


def _control(
    home: Path,
    rollout: str,
    action: ControlAction,
    mode: AbortMode = AbortMode.REVERT,
    *,
    as_json: bool,
) -> None:
    async def work(fleet: Fleet) -> None:
        from fleetward.cli.rollout_control import steer
        from fleetward.cli.rollout_follow import show_rollout

        show_rollout(await steer(fleet, rollout, action, mode), as_json=as_json)

    with_fleet(home, work)


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
