"""``fleetward rollout``: start rollouts, follow them, steer them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.exits import Exit
from fleetward.cli.quote import quote
from fleetward.cli.rollout_explain import explain, replay
from fleetward.cli.rollout_gates import approve, reject
from fleetward.cli.rollout_start import Timeout, plan, start
from fleetward.cli.rollout_steer import abort, finish, pause, promote, resume, retry, rollback
from fleetward.cli.session import DEFAULT_HOME, Home, Json, show_json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.rollouts import Rollout

app = typer.Typer(help="Start rollouts, follow them, steer them.", no_args_is_help=True)

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's id.")]

app.command("start")(start)
app.command("plan")(plan)
app.command("finish")(finish)
app.command("quote")(quote)
app.command("explain")(explain)
app.command("replay")(replay)
app.command("pause")(pause)
app.command("resume")(resume)
app.command("promote")(promote)
app.command("retry")(retry)
app.command("abort")(abort)
app.command("rollback")(rollback)
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
    """Every rollout, the newest first; also those that are scheduled, or queued behind others.

    A running one that may not go on (for a gate, a floor, a window) is shown as held, and by what;
    in --json it is running, and has a reason in withheld.
    """
    from fleetward.cli import plain
    from fleetward.cli.tables import show_table

    async def work(fleet: Fleet) -> None:
        found, now = await fleet.rollouts(), datetime.now(timezone.utc)
        if as_json:
            show_json([plain.rollout(rollout) for rollout in found])
            return
        show_table(
            ["ROLLOUT", "MODEL", "STATE", "WAVE", "ROBOTS", "STARTED (UTC)", "WHY"],
            [_row(rollout, now) for rollout in found],
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
    """Return when a rollout ended: 0 succeeded, 1 could not begin, 4 reverted, 5 aborted, 6 timed out."""

    async def work(fleet: Fleet) -> Exit:
        from fleetward.cli import rollout_follow

        return await rollout_follow.wait(fleet, rollout, timeout, as_json=as_json)

    with_fleet(home, work)


def _row(rollout: Rollout, now: datetime) -> list[str]:
    """One line of the list; `rollout status` has the last cell whole."""
    from fleetward.cli.rollout_waits import in_short, is_held
    from fleetward.contracts.model_sets import called

    return [
        rollout.rollout_id,
        called(rollout),
        "held" if is_held(rollout) else rollout.state.value,
        f"{rollout.wave + 1}/{len(rollout.waves)}" if rollout.waves else "-",
        str(len(rollout.robots)),
        f"{rollout.started_at:%Y-%m-%d %H:%M}",
        in_short(rollout, now),
    ]
