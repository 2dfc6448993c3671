"""Words that must fit into a bound say where they were cut."""

from __future__ import annotations

ELLIPSIS = "…"


def shortened(text: str, limit_characters: int) -> str:
    """``text``, or as much of its beginning as fits before an ellipsis."""
    if len(text) <= limit_characters:
        return text
    return text[: limit_characters - len(ELLIPSIS)].rstrip() + ELLIPSIS
