"""Turns options of ``rollout start`` into a policy; what is not given keeps its default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec
import typer

from fleetward.cli.durations import seconds
from fleetward.contracts.rollouts import RolloutPolicy

Waves = Annotated[
    str | None,
    typer.Option("--waves", help="Cumulative percentages, as 20,50,100; the first is the canary."),
]
Bake = Annotated[
    float | None,
    typer.Option(
        "--bake", parser=seconds, metavar="DURATION", help="How long a wave must do well."
    ),
]
SilentAfter = Annotated[
    float | None,
    typer.Option(
        "--silent-after",
        parser=seconds,
        metavar="DURATION",
        help="A robot that has not proved the model by then counts as unknown.",
    ),
]
MinSuccess = Annotated[
    float | None, typer.Option("--min-success", help="Percent of a wave that must prove it.")
]
MaxErrors = Annotated[
    float | None, typer.Option("--max-errors", help="Percent of a wave that may fail.")
]
Further = Annotated[
    list[str] | None, typer.Option("--set", help="Any other field of a policy: NAME=VALUE.")
]


def policy_of(
    waves: str | None,
    numbers: Mapping[str, float | None],
    further: Mapping[str, str],
) -> RolloutPolicy:
    """A policy from ``--waves``, named numbers and ``--set``; raises typer.BadParameter."""
    chosen: dict[str, object] = {
        name: value for name, value in numbers.items() if value is not None
    }
    if waves is not None:
        chosen["wave_percents"] = _percents(waves)
    chosen.update(further)
    unknown = sorted(set(chosen) - set(RolloutPolicy.__struct_fields__))
    if unknown:
        known = ", ".join(RolloutPolicy.__struct_fields__)
        raise typer.BadParameter(f"no policy has {unknown[0]!r}; it has {known}.")
    try:
        return msgspec.convert(chosen, RolloutPolicy, strict=False)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"{error}.") from error


def _percents(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of percentages; write 20,50,100.", param_hint="--waves"
        ) from None
