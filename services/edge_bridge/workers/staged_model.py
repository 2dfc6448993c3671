"""What goes to a worker before any frame: a model's verified file."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from fleetward.contracts.ids import Digest, ModelRef


class StagedModel(Struct, frozen=True, kw_only=True):
    """A verified model file on this robot."""

    model: ModelRef
    digest: Digest
    path: Path
