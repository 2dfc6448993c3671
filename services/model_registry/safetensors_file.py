"""Says what a safetensors file is: tensors without a graph, and nothing that runs."""

from __future__ import annotations

from pathlib import Path

from fleetward.delivery.errors import LayoutError
from fleetward.delivery.layout import SAFETENSORS
from fleetward.delivery.safetensors_layout import (
    looks_like_safetensors,
    safetensors_metadata,
    safetensors_tensors,
)
from model_registry.verdicts import Inspection, Refusal, short_metadata


def inspect(path: Path) -> Inspection | Refusal | None:
    """What the file at ``path`` is; None when it does not begin as safetensors."""
    with path.open("rb") as file:
        size_bytes = file.seek(0, 2)
        if not looks_like_safetensors(file, size_bytes):
            return None
        try:
            tensors = safetensors_tensors(file, size_bytes)
            metadata = safetensors_metadata(file)
        except LayoutError as error:
            return Refusal(reason=f"The file is not sound safetensors: {error}".rstrip("."))
    if not tensors:
        return Refusal(reason="The safetensors file holds no tensor; save the model's weights")
    return Inspection(
        format=SAFETENSORS, opset=0, inputs=(), outputs=(), metadata=short_metadata(metadata)
    )
