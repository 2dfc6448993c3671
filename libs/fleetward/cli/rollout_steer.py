"""``fleetward rollout``: what a person may do to one that exists."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fleetward.cli.choices import one_of, words_of
from fleetward.cli.session import DEFAULT_HOME, Home, Json, with_fleet
from fleetward.contracts.control import AbortMode, ControlAction

if TYPE_CHECKING:
    from fleetward.client import Fleet

RolloutArgument = Annotated[str, typer.Argument(metavar="ROLLOUT", help="The rollout's id.")]
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
ToAll = Annotated[
    bool, typer.Option("--all", help="All robots that are left form one wave and are next.")
]
Skip = Annotated[
    bool,
    typer.Option("--skip", help="Leave robots alone that were given something newer since."),
]


def pause(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Give the model to no further robot until resumed; evidence is still judged."""
    _control(home, rollout, ControlAction.PAUSE, as_json=as_json)


def resume(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Let a paused rollout go on."""
    _control(home, rollout, ControlAction.RESUME, as_json=as_json)


def finish(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Let nobody join a continuous rollout any more; it ends when all that it has are through."""
    _control(home, rollout, ControlAction.FINISH, as_json=as_json)


def promote(
    rollout: RolloutArgument,
    to_all: ToAll = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Skip the rest of the bake or hold of this wave, on your word.

    Robots still prove the model, both thresholds and the comparison still bind, and no gate is passed.
    """
    _control(home, rollout, ControlAction.PROMOTE, to_all=to_all, as_json=as_json)


def retry(rollout: RolloutArgument, home: Home = DEFAULT_HOME, as_json: Json = False) -> None:
    """Give the model again to robots that failed or are unknown.

    In an open rollout it is their turn again, and the wave bakes anew. Of one that has ended they
    become a new rollout with the same model, strategy and policy, whose id is printed.
    """

    async def work(fleet: Fleet) -> None:
        from fleetward.cli.rollout_control import retried
        from fleetward.cli.rollout_follow import show_rollout

        show_rollout(await retried(fleet, rollout), as_json=as_json)

    with_fleet(home, work)


def abort(
    rollout: RolloutArgument,
    mode: Mode = AbortMode.REVERT,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Stop a rollout for good; one that is scheduled or queued is taken off."""
    _control(home, rollout, ControlAction.ABORT, mode, as_json=as_json)


def rollback(
    rollout: RolloutArgument,
    skip: Skip = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> None:
    """Take a rollout back that has succeeded: its robots return to what each served before.

    The same rollout is opened again and ends as reverted. It is refused, naming them, when robots were
    given something newer since; no byte moves where a robot still has the model from before.
    """
    _control(home, rollout, ControlAction.ROLLBACK, skip=skip, as_json=as_json)


def _control(
    home: Path,
    rollout: str,
    action: ControlAction,
    mode: AbortMode = AbortMode.REVERT,
    *,
    to_all: bool = False,
    skip: bool = False,
    as_json: bool,
) -> None:
    async def work(fleet: Fleet) -> None:
        from fleetward.cli.rollout_control import steer
        from fleetward.cli.rollout_follow import show_rollout

        obeyed = await steer(fleet, rollout, action, mode, to_all=to_all, skip=skip)
        show_rollout(obeyed, as_json=as_json)

    with_fleet(home, work)
