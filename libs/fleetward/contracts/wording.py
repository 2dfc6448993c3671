"""How counts, lists and long texts are written: cut where they must fit, and saying so."""

from __future__ import annotations

from collections.abc import Sequence

ELLIPSIS = "…"
MAX_LISTED = 5


def shortened(text: str, limit_characters: int) -> str:
    """``text``, or as much of its beginning as fits before an ellipsis."""
    if len(text) <= limit_characters:
        return text
    return text[: limit_characters - len(ELLIPSIS)].rstrip() + ELLIPSIS


def how_many(number: int, noun: str) -> str:
    """1 robot, 2 robots; ``noun`` is one whose plural is formed with an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(words: Sequence[str], at_most: int = MAX_LISTED, *, of: int | None = None) -> str:
    """The first few, and how many more; ``of``: how many there are, where ``words`` are but some."""
    shown = words[:at_most]
    further = (len(words) if of is None else of) - len(shown)
    return f"{', '.join(shown)} and {further} more" if further > 0 else ", ".join(shown)
