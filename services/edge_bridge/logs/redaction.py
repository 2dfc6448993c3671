"""What must not leave the robot in a log: values of fields, and of words, that are named as secrets are.

A help against accidents, no wall: a secret under another name is not seen.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"
MAX_DEPTH = 8
"""What lies deeper in a record is left out: a robot's log is no place to hide in."""
_WORDS = frozenset(
    {"token", "password", "passwd", "passphrase", "secret", "seed", "credential", "credentials"}
    | {"authorization", "apikey", "nkey", "jwt"}
)
_PAIRS = frozenset({("api", "key"), ("private", "key"), ("access", "key"), ("secret", "key")})
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_HINTS = ("token", "passw", "passphrase", "secret", "seed", "credential", "authorization", "key")
_SAID = re.compile(
    r"((?:token|password|passwd|passphrase|secret|credentials?|(?:api|private|access)[_-]?key|\bseed"
    r"|authorization)[\"']?\s?[=:]\s?(?:bearer\s|basic\s)?)(\"[^\"]*\"|'[^']*'|[^\s,;&\"')}\]]+)",
    re.IGNORECASE,
)
_SEED = re.compile(r"\bS[ACNOUX][A-Z2-7]{56}\b")
"""As nkeys writes them."""
_PERHAPS = re.compile(
    r"(?:token|password|passwd|passphrase|secret|credentials?|key|seed|authorization)[\"']?\s?[=:]"
)
"""Quick, of small letters: whether it is worth while to look."""
_NUMBERS_STAY = frozenset({"token", "seed"})
"""A seed that is a number is one of chance, and tokens are counted."""


@lru_cache(maxsize=4096)
def secret_word(name: str) -> str | None:
    """What makes a field's name one of a secret: its last word, as of ``nats_token`` or ``apiKey``."""
    parts = [part.lower() for part in _PARTS.findall(name)]
    if not parts:
        return None
    if tuple(parts[-2:]) in _PAIRS:
        return " ".join(parts[-2:])
    return parts[-1] if parts[-1] in _WORDS else None


def redact(fields: dict[str, Any], depth: int = 0) -> None:
    """Replace the values of secrets in ``fields`` and in what lies in them."""
    for name, value in fields.items():
        kind = type(value)
        if kind is dict or kind is list:
            fields[name] = REDACTED if secret_word(name) else _within(value, depth + 1)
        elif (word := secret_word(name)) is not None and not _harmless(word, value):
            fields[name] = REDACTED


def redacted_text(text: str) -> str:
    """``text`` without the values of words as ``password=...``, and without seeds of keys of the bus."""
    text = _SEED.sub(REDACTED, text)
    lowered = text.lower()
    for hint in _HINTS:
        if hint in lowered:
            return _SAID.sub(_hidden, text) if _PERHAPS.search(lowered) else text
    return text


def _hidden(match: re.Match[str]) -> str:
    return match[1] + REDACTED


def _harmless(word: str, value: object) -> bool:
    if value is None or isinstance(value, bool):
        return True
    return isinstance(value, (int, float)) and word in _NUMBERS_STAY


def _within(value: dict[str, Any] | list[Any], depth: int) -> dict[str, Any] | list[Any] | str:
    if depth > MAX_DEPTH:
        return REDACTED
    if isinstance(value, dict):
        redact(value, depth)
    else:
        for place, each in enumerate(value):
            kind = type(each)
            if kind is dict or kind is list:
                value[place] = _within(each, depth + 1)
    return value
