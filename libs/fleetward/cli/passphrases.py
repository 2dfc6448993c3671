"""Where the passphrase of a key comes from: a file, or whoever sits at the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="Its first line. Default: asked for at the terminal."),
]
NoPassphrase = Annotated[
    bool,
    typer.Option("--no-passphrase", help="Keep it in plain text: keys of services, development."),
]


def new_passphrase(file: Path | None, plain: bool) -> bytes | None:
    """What new keys shall be sealed with; None: nothing. Raises BadParameter when nobody says."""
    if plain and file is None:
        return None
    if plain:
        raise typer.BadParameter("Give --passphrase-file or --no-passphrase, not both.")
    if file is not None:
        return _read(file)
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            "Nothing says how the private key is kept. Give --passphrase-file FILE, or "
            "--no-passphrase for a key of a service or of a development system."
        )
    return str(
        typer.prompt("New passphrase", hide_input=True, confirmation_prompt=True, err=True)
    ).encode()


def known_passphrase(file: Path | None) -> Callable[[Path], bytes]:
    """What opens a sealed key; it is asked for only when a key is sealed."""

    def passphrase(key: Path) -> bytes:
        if file is not None:
            return _read(file)
        if not sys.stdin.isatty():
            raise typer.BadParameter(f"{key} is sealed. Give --passphrase-file FILE.")
        return str(typer.prompt(f"Passphrase of {key}", hide_input=True, err=True)).encode()

    return passphrase


def _read(file: Path) -> bytes:
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}.") from None
    if not lines or not lines[0]:
        raise typer.BadParameter(f"{file} holds no passphrase in its first line.")
    return lines[0]
