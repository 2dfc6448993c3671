"""How a signal that a rollout is judged by is written on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from fleetward.contracts.evidence import Per, SignalGuard, Worse

_EXAMPLE = "hw.temperature:higher:5, gripper.force:lower:10% or model.output.max:either:2sd"
Signals = Annotated[
    list[str] | None,
    typer.Option(
        "--signal",
        help="A signal to judge by too, as NAME:WORSE:TOLERANCE with worse being higher, lower or "
        "either, and a tolerance in the signal's unit, in percent of the control robots' mean or in "
        f"their standard deviations: {_EXAMPLE}. May be repeated.",
    ),
]


def signals_of(words: list[str]) -> tuple[SignalGuard, ...]:
    """The signals that ``--signal`` names; raises BadParameter."""
    return tuple(_signal_of(word) for word in words)


def _signal_of(word: str) -> SignalGuard:
    signal, worse, tolerance = [*word.split(":"), "", ""][:3]
    if word.count(":") != 2 or worse not in {each.value for each in Worse}:
        raise _refused(word)
    number, per = _counted(tolerance)
    try:
        return SignalGuard(signal=signal, worse=Worse(worse), tolerance=float(number), per=per)
    except ValueError:
        raise _refused(word) from None


def _counted(tolerance: str) -> tuple[str, Per]:
    if tolerance.endswith("%"):
        return f"{tolerance[:-1]}e-2", Per.SHARE
    if tolerance.endswith("sd"):
        return tolerance[:-2], Per.DEVIATION
    return tolerance, Per.UNIT


def _refused(word: str) -> typer.BadParameter:
    return typer.BadParameter(
        f"{word!r} is not NAME:WORSE:TOLERANCE; write for example {_EXAMPLE}.",
        param_hint="--signal",
    )
