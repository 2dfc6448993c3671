"""Words that must fit into a bound say where they were cut."""

from __future__ import annotations

from collections.abc import Sequence

ELLIPSIS = "…"
MAX_LISTED = 5


def shortened(text: str, limit_characters: int) -> str:
    """``text``, or as much of its beginning as fits before an ellipsis."""
    if len(text) <= limit_characters:
        return text
    return text[: limit_characters - len(ELLIPSIS)].rstrip() + ELLIPSIS


def listed(words: Sequence[str]) -> str:
    """The first few, and how many more."""
    shown = ", ".join(words[:MAX_LISTED])
    further = len(words) - MAX_LISTED
    return f"{shown} and {further} more" if further > 0 else shown
