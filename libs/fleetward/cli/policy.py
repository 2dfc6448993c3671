"""Turns options of ``rollout start`` into a policy; what is not given keeps its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import typer

from fleetward.cli.durations import seconds, spoken
from fleetward.cli.sizes import size_bytes
from fleetward.contracts.rollouts import RolloutPolicy

_DEFAULT = RolloutPolicy()
_NAMED = (
    "wave_percents",
    "bake_s",
    "silent_after_s",
    "min_success_percent",
    "max_error_percent",
    "byte_cap",
    "gates",
    "signals",
    "on_conflict",
)
_FURTHER = ", ".join(name for name in RolloutPolicy.__struct_fields__ if name not in _NAMED)

Waves = Annotated[
    str | None,
    typer.Option(
        "--waves",
        help="Cumulative percentages; the first is the canary. "
        f"Default: {','.join(map(str, _DEFAULT.wave_percents))}.",
    ),
]
Bake = Annotated[
    float | None,
    typer.Option(
        "--bake",
        parser=seconds,
        metavar="DURATION",
        help=f"How long a wave must do well, as 30s or 10m. Default: {spoken(_DEFAULT.bake_s)}.",
    ),
]
SilentAfter = Annotated[
    float | None,
    typer.Option(
        "--silent-after",
        parser=seconds,
        metavar="DURATION",
        help="A robot that has not proved the model by then counts as unknown. "
        f"Default: {spoken(_DEFAULT.silent_after_s)}.",
    ),
]
MinSuccess = Annotated[
    float | None,
    typer.Option(
        "--min-success",
        help="Percent of the robots given the model so far that must prove it. "
        f"Default: {_DEFAULT.min_success_percent:g}.",
    ),
]
MaxErrors = Annotated[
    float | None,
    typer.Option(
        "--max-errors",
        help="Percent of the robots given the model so far that may fail. "
        f"Default: {_DEFAULT.max_error_percent:g}.",
    ),
]
ByteCap = Annotated[
    int | None,
    typer.Option(
        "--byte-cap",
        parser=size_bytes,
        metavar="SIZE",
        help="The most each robot may move for the model, as 50MB; one that needs more fails "
        "before it begins. `fleetward rollout quote` says what they need. Default: no cap.",
    ),
]
Further = Annotated[
    list[str] | None,
    typer.Option("--set", help=f"NAME=VALUE for any other number of the policy: {_FURTHER}."),
]


def policy_of(
    waves: str | None,
    numbers: Mapping[str, object],
    further: Mapping[str, str],
) -> RolloutPolicy:
    """A policy from ``--waves``, named numbers and ``--set``; raises typer.BadParameter."""
    chosen: dict[str, object] = {
        name: value for name, value in numbers.items() if value is not None
    }
    if waves is not None:
        chosen["wave_percents"] = _percents(waves)
    chosen.update({name: _listed(name, value) for name, value in further.items()})
    unknown = sorted(set(chosen) - set(RolloutPolicy.__struct_fields__))
    if unknown:
        known = ", ".join(RolloutPolicy.__struct_fields__)
        raise typer.BadParameter(f"no policy has {unknown[0]!r}; it has {known}.")
    try:
        return msgspec.convert(chosen, RolloutPolicy, strict=False)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(_wrong(str(error))) from error


_LISTS = frozenset({"wave_percents", "wave_counts", "interlocks"})


def _listed(name: str, value: str) -> object:
    """A list is written with commas: wave_counts=1,5,20."""
    return [part for part in value.split(",") if part] if name in _LISTS else value


def _percents(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of percentages; write 20,50,100.", param_hint="--waves"
        ) from None


def _wrong(problem: str) -> str:
    """msgspec's complaint, ``Expected `float`, got `str` - at `$.bake_s```, for who typed it."""
    what, _, where = problem.partition(" - at `$.")
    return f"{where.rstrip('`')} of --set: {what[:1].lower()}{what[1:]}."
