"""Which tensor of a model each pair of an adapter's matrices changes, by the names PEFT gives them.

``<module>.lora_A.weight`` (rank x in) and ``<module>.lora_B.weight`` (out x rank) change
``<module>.weight`` (out x in); a graph that keeps its weights as in x out has them transposed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from msgspec import Struct

from fleetward.delivery.delta import ELEMENT_BYTES, MAX_ADAPTER_BYTES, MAX_RANK
from fleetward.delivery.errors import DeltaError
from fleetward.delivery.floats import Floats, floats_of
from fleetward.delivery.layout import SAFETENSORS, layout_of
from fleetward.delivery.manifest import TensorSpan

MAX_ADAPTER_FILE_BYTES = 512 * 1024**2

_NAME = re.compile(r"\A(?P<module>.+)\.lora_(?P<side>A|B|down|up)(?:\.default)?(?:\.weight)?\Z")
_WRAPPERS = ("base_model.model.", "base_model.", "model.", "transformer.", "diffusion_model.")
_DOWN = ("A", "down")


class LowRank(Struct, frozen=True, eq=False):
    """``scale * left`` (rows x rank) ``@ right`` (rank x columns), as the file holds the factors."""

    left: Floats
    right: Floats
    factor_type: str
    scale: float


def read_adapter(path: Path, scale: float) -> dict[str, LowRank]:
    """The pairs in a LoRA safetensors file, by module; ``scale`` is PEFT's alpha over rank.

    Raises DeltaError when it is no such file, LayoutError, OSError.
    """
    layout = layout_of(path)
    if layout.file_format != SAFETENSORS or layout.size_bytes > MAX_ADAPTER_FILE_BYTES:
        raise DeltaError(
            f"{path} is no safetensors file of at most {MAX_ADAPTER_FILE_BYTES >> 20} MiB. "
            "Save the adapter with PEFT."
        )
    if not math.isfinite(scale):
        raise DeltaError(f"an adapter cannot be scaled by {scale}.")
    halves: dict[str, dict[str, TensorSpan]] = {}
    for span in layout.tensors:
        if (name := _NAME.match(span.name)) is not None:
            side = "right" if name["side"] in _DOWN else "left"
            halves.setdefault(name["module"], {})[side] = span
    with path.open("rb") as file:
        content = file.read(MAX_ADAPTER_FILE_BYTES)
    pairs = {
        module: _pair(content, spans["left"], spans["right"], scale)
        for module, spans in halves.items()
        if len(spans) == 2 and _fits(spans["left"], spans["right"])
    }
    if not pairs:
        raise DeltaError(f"{path} holds no pairs of lora_A and lora_B matrices.")
    return pairs


def pairs_by_tensor(
    tensors: Iterable[TensorSpan], pairs: Mapping[str, LowRank]
) -> dict[str, LowRank]:
    """Each changed tensor's pair, turned the way the tensor lies in the file."""
    found: dict[str, LowRank] = {}
    modules = {_bare(module): pair for module, pair in pairs.items()}
    for tensor in tensors:
        pair = modules.get(_bare(tensor.name.removesuffix(".weight")))
        turned = _turned(pair, tensor) if pair is not None else None
        if turned is not None:
            found[tensor.name] = turned
    return found


def _bare(name: str) -> str:
    """A module's name without what libraries wrap it in."""
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name


def _turned(pair: LowRank, tensor: TensorSpan) -> LowRank | None:
    if tensor.element_type not in ELEMENT_BYTES:
        return None
    shape = (len(pair.left), pair.right.shape[1])
    if tuple(tensor.shape) == shape:
        return pair
    if tuple(tensor.shape) == shape[::-1]:
        left, right = np.ascontiguousarray(pair.right.T), np.ascontiguousarray(pair.left.T)
        return LowRank(left, right, pair.factor_type, pair.scale)
    return None


def _fits(left: TensorSpan, right: TensorSpan) -> bool:
    if len(left.shape) != 2 or len(right.shape) != 2 or left.shape[1] != right.shape[0]:
        return False
    rank, size = right.shape[0], left.shape[0] + right.shape[1]
    one_type = left.element_type == right.element_type and left.element_type in ELEMENT_BYTES
    return one_type and 1 <= rank <= MAX_RANK and rank * size * 4 <= MAX_ADAPTER_BYTES


def _pair(content: bytes, left: TensorSpan, right: TensorSpan, scale: float) -> LowRank:
    return LowRank(_matrix(content, left), _matrix(content, right), left.element_type, scale)


def _matrix(content: bytes, span: TensorSpan) -> Floats:
    numbers = floats_of(
        memoryview(content)[span.start : span.start + span.length], span.element_type
    )
    return numbers.reshape(span.shape)
