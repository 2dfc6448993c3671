"""Reads one of a few words; what is none of them is answered with those there are."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeVar

import typer

_Choice = TypeVar("_Choice", bound=enum.Enum)


def one_of(kind: type[_Choice]) -> Callable[[str | _Choice], _Choice]:
    """A parser of an option: the member of ``kind`` by its value; raises typer.BadParameter."""

    def parse(text: str | _Choice) -> _Choice:
        if isinstance(text, kind):
            return text
        try:
            return kind(text)
        except ValueError:
            *others, last = (str(member.value) for member in kind)
            known = f"{', '.join(others)} or {last}"
            raise typer.BadParameter(f"{text!r} is none of them; write {known}.") from None

    return parse


def words_of(kind: type[enum.Enum]) -> str:
    """The values for a usage line, as [canary|all-at-once]."""
    return f"[{'|'.join(str(member.value) for member in kind)}]"
