"""Turns options of ``rollout start`` into a policy; what is not given keeps its default."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, get_type_hints

import msgspec
import typer

from fleetward.cli.choices import words_of
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
        help="A robot that has not proved the model by then counts as unknown, unless it says "
        "that an interlock holds it back. "
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
    chosen.update({name: _value(name, text) for name, text in further.items()})
    try:
        return msgspec.convert(chosen, RolloutPolicy, strict=False)
    except msgspec.ValidationError as error:
        raise _wrong(str(error), further) from error


_LISTS = frozenset({"wave_percents", "wave_counts", "interlocks"})
_OWN_OPTIONS = {"gates": "--gate", "signals": "--signal", "on_conflict": "--on-conflict"}
_KINDS = {"float": "a number", "int": "a whole number"}
_EXPECTED = re.compile(r"Expected `(\w+)")


def _value(name: str, text: str) -> object:
    """A list is written with commas, wave_counts=1,5,20; a duration as 30s, a size as 50MB."""
    if name in _OWN_OPTIONS:
        raise _refused(f"{name} has an option of its own, {_OWN_OPTIONS[name]}.")
    if name not in RolloutPolicy.__struct_fields__:
        near = get_close_matches(name, RolloutPolicy.__struct_fields__, n=1)
        meant = f"did you mean {near[0]}? It" if near else "it"
        raise _refused(f"a policy has no {name!r}; {meant} has {_FURTHER}.")
    if name in _LISTS:
        return [part for part in text.split(",") if part]
    try:
        return size_bytes(text) if name == "byte_cap" else _seconds(name, text)
    except typer.BadParameter as error:
        raise _refused(f"{name} {error.message}") from None


def _seconds(name: str, text: str) -> object:
    return seconds(text) if name.endswith("_s") else text


def _percents(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a list of percentages; write 20,50,100.", param_hint="--waves"
        ) from None


def _wrong(problem: str, further: Mapping[str, str]) -> typer.BadParameter:
    """msgspec's complaint, ``Expected `float`, got `str` - at `$.alpha```, for who typed it."""
    what, _, where = problem.partition(" - at `$.")
    name = where.rstrip("`").partition("[")[0]
    kind = get_type_hints(RolloutPolicy).get(name)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _refused(f"{name} is one of {words_of(kind)}, not {further.get(name)!r}.")
    expected = _EXPECTED.match(what)
    if expected is None or expected[1] not in _KINDS or name not in further:
        return _refused(f"{name}: {what[:1].lower()}{what[1:]}.")
    several = "s, with commas between them" if name in _LISTS else ""
    wanted = _KINDS[expected[1]].removeprefix("a ") if several else _KINDS[expected[1]]
    return _refused(f"{name} is {wanted}{several}, not {further[name]!r}.")


def _refused(problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint="--set")
