"""``fleetward rollout start`` and ``plan``: one request, done or only looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.durations import seconds
from fleetward.cli.exits import Exit, tell
from fleetward.cli.quote import DEFAULT_LINK_MBPS, Link
from fleetward.cli.rollout_request import Request, with_request
from fleetward.cli.session import DEFAULT_HOME, Home, Json, with_fleet

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.rollouts import Rollout

Timeout = Annotated[
    float | None,
    typer.Option("--timeout", parser=seconds, metavar="DURATION", help="Give up waiting after."),
]
ChosenId = Annotated[
    str | None, typer.Option("--id", help="Choose the id, and asking twice is harmless.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show the plan, as `rollout plan` does.")
]


@with_request
def start(
    request: Request,
    *,
    rollout_id: ChosenId = None,
    dry_run: DryRun = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it ended.")] = False,
    timeout: Timeout = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Roll MODEL out to the robots that --to selects.

    With --wait: 0 succeeded, 1 could not begin, 4 reverted, 5 aborted, 6 timed out.
    """

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.cli.people import asking

        if dry_run:
            return await _planned(fleet, request, DEFAULT_LINK_MBPS, as_json=as_json)
        started = await fleet.start_rollout(
            request.model,
            request.to,
            strategy=request.strategy,
            policy=request.policy,
            is_continuous=request.is_continuous,
            rollout=rollout_id,
            begins_at=request.begins_at,
            again=request.again,
            together=request.together,
            requested_by=asking(),
        )
        return await _after_start(fleet, started, timeout, wait=wait, as_json=as_json)

    with_fleet(home, work)


@with_request
def plan(
    request: Request,
    *,
    link_mbps: Link = DEFAULT_LINK_MBPS,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What `rollout start` would do now: waves, who is left out and why, MB, minutes and the end.

    Nothing starts. 1: the coordinator would refuse it, and says why.
    """

    async def work(fleet: Fleet) -> Exit | None:
        return await _planned(fleet, request, link_mbps, as_json=as_json)

    with_fleet(home, work)


async def _planned(
    fleet: Fleet, request: Request, link_mbps: float, *, as_json: bool
) -> Exit | None:
    from fleetward.cli.rollout_plan import show_plan
    from fleetward.client.plans import preview

    found = await preview(
        fleet.connection,
        request.model,
        request.to,
        strategy=request.strategy,
        policy=request.policy,
        is_continuous=request.is_continuous,
        begins_at=request.begins_at,
        again=request.again,
        together=request.together,
        link_mbps=link_mbps,
    )
    return show_plan(found, as_json=as_json)


async def _after_start(
    fleet: Fleet, started: Rollout, timeout: float | None, *, wait: bool, as_json: bool
) -> Exit | None:
    """Name the id first: who is interrupted while waiting needs it."""
    from fleetward.cli import rollout_follow

    wanted = started.rollout_id
    follow = f"Follow it with `fleetward rollout watch {wanted}`."
    if wait:
        tell(f"{wanted} {_how_it_stands(started)}. {follow}")
        return await rollout_follow.wait(fleet, wanted, timeout, as_json=as_json)
    rollout_follow.show_rollout(started, as_json=as_json)
    if not as_json:
        print(follow)
    return None


def _how_it_stands(rollout: Rollout) -> str:
    from fleetward.contracts.rollouts import FINAL_STATES, WAITING_STATES

    if rollout.state in WAITING_STATES:
        return f"is {rollout.state.value}: {rollout.reason}"
    if rollout.state in FINAL_STATES:
        return f"was asked for before and has ended, {rollout.state.value}"
    return "has started"
