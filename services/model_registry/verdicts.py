"""What the inspection of a file may say: what it is, or why robots shall not run it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from fleetward.contracts.registry import TensorSpec

MAX_METADATA_ENTRIES = 16
MAX_METADATA_VALUE_CHARS = 200
"""Some models carry whole dictionaries of characters in their metadata; those stay in the file."""


class Inspection(Struct, frozen=True, kw_only=True, tag="inspection"):
    """What a file is: its interface, its opset, and the short part of its own metadata.

    A format without a graph has neither inputs nor outputs, and opset 0.
    """

    format: str
    opset: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: dict[str, str]


class Refusal(Struct, frozen=True, kw_only=True, tag="refusal"):
    """Why robots shall not run the file, and what to do about it."""

    reason: str


def short_metadata(entries: Mapping[str, str]) -> dict[str, str]:
    """The entries short enough for a record, at most MAX_METADATA_ENTRIES, by name."""
    short = {
        key: value
        for key, value in entries.items()
        if len(key) + len(value) <= MAX_METADATA_VALUE_CHARS
    }
    return dict(sorted(short.items())[:MAX_METADATA_ENTRIES])
