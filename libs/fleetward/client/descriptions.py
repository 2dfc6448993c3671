"""What a publisher says of a version beside its bytes."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

DATASET = "dataset"
COMMIT = "commit"
TRAINING_RUN = "training_run"
ORIGIN = "origin"
"""Lineage keys with a meaning of their own; any other key is the publisher's."""


class Description(Struct, frozen=True, kw_only=True):
    """lineage: where it comes from. licence: an SPDX expression. card: Markdown."""

    lineage: Mapping[str, str] = {}
    licence: str = ""
    card: str = ""


NOTHING_SAID = Description()
