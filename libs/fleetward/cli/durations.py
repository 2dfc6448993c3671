"""Durations as people write them: 500ms, 10s, 1.5m, 2h, or plain seconds."""

from __future__ import annotations

import re

import typer

_DURATION = re.compile(r"\A(\d+(?:\.\d+)?)(ms|s|m|h|d)?\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def seconds(text: str | float) -> float:
    """The duration in seconds; raises typer.BadParameter, which ends with a usage error."""
    match = _DURATION.match(str(text))
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a duration; write 500ms, 10s, 1.5m, 2h or 1d.")
    return float(match[1]) * _SECONDS[match[2]]


def spoken(duration_s: float) -> str:
    """A duration for people: 12 s, 3 min, 2.5 h."""
    if duration_s < 120:
        return f"{duration_s:.0f} s"
    if duration_s < 7200:
        return f"{duration_s / 60:.0f} min"
    return f"{duration_s / 3600:.1f} h"
