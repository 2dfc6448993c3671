"""Reads repeated NAME=VALUE options."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def pairs_of(
    option: str, texts: Sequence[str], otherwise: str = "is not NAME=VALUE."
) -> dict[str, str]:
    """NAME -> VALUE in the order given; raises typer.BadParameter, which ends as a usage error."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{text!r} {otherwise}", param_hint=option)
        pairs[name] = value
    return pairs
