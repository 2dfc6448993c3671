"""Who says so: the name that a person gives, or the one that this machine knows them by."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from fleetward.contracts.gates import MAX_PERSON_CHARACTERS


def person(text: str) -> str:
    """A name for the record, in one line; raises typer.BadParameter."""
    if not text.strip() or not text.isprintable():
        raise typer.BadParameter("write a name, in one line of printable characters.")
    if len(text) > MAX_PERSON_CHARACTERS:
        raise typer.BadParameter(
            f"a name has at most {MAX_PERSON_CHARACTERS} characters, this one has {len(text)}."
        )
    return text


By = Annotated[
    str | None,
    typer.Option(
        "--by",
        parser=person,
        metavar="NAME",
        help="Who says so. Default: this machine's user.",
    ),
]


def logged_in() -> str:
    """Who is at the keyboard, as far as the machine knows; a container may run without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def asking() -> str:
    """Who asks, for a record that names everybody somehow."""
    return logged_in() or "somebody"
