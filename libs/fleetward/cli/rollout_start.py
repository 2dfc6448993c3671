"""``fleetward rollout start`` and ``plan``: one request, done or only looked at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypedDict

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
from fleetward.cli.quote import DEFAULT_LINK_MBPS, Link
from fleetward.cli.rollout_begin import At, WhenTaken
from fleetward.cli.rollout_gates import Gates, gates_of
from fleetward.cli.rollout_signals import Signals, signals_of
from fleetward.cli.session import DEFAULT_HOME, Home, Json, with_fleet
from fleetward.contracts.control import OnConflict
from fleetward.contracts.rollouts import RolloutPolicy, Strategy

if TYPE_CHECKING:
    from fleetward.client import Fleet
    from fleetward.contracts.rollouts import Rollout

Model = Annotated[str, typer.Argument(metavar="MODEL", help="name:version or name@alias.")]
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
Continuous = Annotated[
    bool,
    typer.Option(
        "--continuous",
        help="Robots that match later join the last wave, at most --set joiners_per_minute=N; it "
        "ends with `rollout finish`.",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show the plan, as `rollout plan` does.")
]


class Asked(TypedDict):
    """How a model shall reach its robots."""

    strategy: Strategy
    policy: RolloutPolicy
    is_continuous: bool


def start(
    model: Model,
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
    at: At = None,
    on_conflict: WhenTaken = OnConflict.REFUSE,
    rollout_id: ChosenId = None,
    continuous: Continuous = False,
    dry_run: DryRun = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when it ended.")] = False,
    timeout: Timeout = None,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Roll MODEL out to the robots that --to selects.

    With --wait: 0 succeeded, 1 could not begin, 4 reverted, 5 aborted, 6 timed out.
    """
    numbers = _numbers(bake, silent_after, min_success, max_errors, byte_cap)
    policy = replace(_policy(waves, numbers, gates, signals, further), on_conflict=on_conflict)

    async def work(fleet: Fleet) -> Exit | None:
        from fleetward.cli.rollout_control import asking

        how = Asked(strategy=strategy, policy=policy, is_continuous=continuous)
        if dry_run:
            return await _planned(fleet, model, to, how, DEFAULT_LINK_MBPS, as_json=as_json)
        begin = partial(fleet.start_rollout, model, to, **how)
        started = await begin(rollout=rollout_id, begins_at=at, requested_by=asking())
        return await _after_start(fleet, started, timeout, wait=wait, as_json=as_json)

    with_fleet(home, work)


def plan(
    model: Model,
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
    on_conflict: WhenTaken = OnConflict.REFUSE,
    continuous: Continuous = False,
    link_mbps: Link = DEFAULT_LINK_MBPS,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """What `rollout start` would do now: waves, who is left out and why, MB, minutes and the end.

    Nothing starts. 1: the coordinator would refuse it, and says why.
    """
    numbers = _numbers(bake, silent_after, min_success, max_errors, byte_cap)
    policy = replace(_policy(waves, numbers, gates, signals, further), on_conflict=on_conflict)

    async def work(fleet: Fleet) -> Exit | None:
        how = Asked(strategy=strategy, policy=policy, is_continuous=continuous)
        return await _planned(fleet, model, to, how, link_mbps, as_json=as_json)

    with_fleet(home, work)


def _numbers(
    bake: float | None,
    silent_after: float | None,
    min_success: float | None,
    max_errors: float | None,
    byte_cap: int | None,
) -> dict[str, float | None]:
    return {
        "bake_s": bake,
        "silent_after_s": silent_after,
        "min_success_percent": min_success,
        "max_error_percent": max_errors,
        "byte_cap": byte_cap,
    }


def _policy(
    waves: str | None,
    numbers: Mapping[str, float | None],
    gates: list[str] | None,
    signals: list[str] | None,
    further: list[str] | None,
) -> RolloutPolicy:
    policy = policy_of(waves, numbers, pairs_of("--set", further or []))
    return replace(policy, gates=gates_of(gates or []), signals=signals_of(signals or []))


async def _planned(
    fleet: Fleet,
    model: str,
    to: str,
    how: Asked,
    link_mbps: float,
    *,
    as_json: bool,
) -> Exit | None:
    from fleetward.cli.rollout_plan import show_plan
    from fleetward.client.plans import preview

    found = await preview(fleet.connection, model, to, **how, link_mbps=link_mbps)
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
    from fleetward.contracts.rollouts import WAITING_STATES

    if rollout.state in WAITING_STATES:
        return f"is {rollout.state.value}: {rollout.reason}"
    return "has started"
