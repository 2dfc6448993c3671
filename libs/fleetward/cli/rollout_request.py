"""What `rollout start` and `rollout plan` are asked alike: the options of one request, written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Annotated, Any

import typer
from msgspec import Struct
from msgspec.structs import replace

from fleetward.cli.choices import one_of, words_of
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
from fleetward.cli.rollout_begin import At, WhenTaken
from fleetward.cli.rollout_gates import Gates, gates_of
from fleetward.cli.rollout_signals import Signals, signals_of
from fleetward.contracts.control import OnConflict
from fleetward.contracts.rollouts import RolloutPolicy, Strategy

Model = Annotated[str, typer.Argument(metavar="MODEL", help="name:version or name@alias.")]
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
Again = Annotated[
    bool,
    typer.Option(
        "--again",
        help="Also for robots that were given these bytes already: with a higher --byte-cap, say.",
    ),
]


Together = Annotated[
    list[str] | None,
    typer.Option(
        "--together",
        metavar="MODEL",
        help="A further model, as name:version or name@alias, that switches at one instant with MODEL on each "
        "robot, or none does; each has a pipeline of its own there but for one. Repeat it for more.",
    ),
]


class Request(Struct, frozen=True):
    """Which model shall reach which robots, and how."""

    model: str
    to: str
    strategy: Strategy
    policy: RolloutPolicy
    is_continuous: bool
    begins_at: datetime | None
    again: bool
    together: tuple[str, ...]


def requested(
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
    at: At = None,
    again: Again = False,
    together: Together = None,
) -> Request:
    """The request that these options ask for; raises typer.BadParameter."""
    numbers = {
        "bake_s": bake,
        "silent_after_s": silent_after,
        "min_success_percent": min_success,
        "max_error_percent": max_errors,
        "byte_cap": byte_cap,
    }
    policy = replace(
        policy_of(waves, numbers, pairs_of("--set", further or [])),
        gates=gates_of(gates or []),
        signals=signals_of(signals or []),
        on_conflict=on_conflict,
    )
    return Request(model, to, strategy, policy, continuous, at, again, tuple(together or ()))


def with_request(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of ``requested`` before its own; it is called with their Request."""
    shared = inspect.signature(requested, eval_str=True).parameters
    _, *own = inspect.signature(command, eval_str=True).parameters.values()

    @wraps(command)
    def run(**given: Any) -> None:  # noqa: ANN401 (what the options hold, each of its own type)
        request = requested(**{name: given.pop(name) for name in shared})
        command(request, **given)

    run.__annotations__ = {}
    run.__signature__ = inspect.Signature([*shared.values(), *own])  # type: ignore[attr-defined]  # what typer reads
    return run
