"""Small safetensors files, written by hand: names, types and bytes are all a delta looks at."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fleetward.delivery.apply import Applier
from fleetward.delivery.chunking import chunk_file
from fleetward.delivery.delta import decode_delta
from fleetward.delivery.delta_file import WrittenDelta
from fleetward.delivery.delta_plan import Side, side_of_file

Tensor = tuple[str, tuple[int, ...], bytes]
"""Element type, shape, bytes."""


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Path:
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, (element_type, shape, content) in tensors.items():
        span = [end, end + len(content)]
        header[name] = {"dtype": element_type, "shape": shape, "data_offsets": span}
        end += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(content for _, _, content in tensors.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def tensor(array: NDArray[np.generic], element_type: str) -> Tensor:
    return element_type, array.shape, array.tobytes()


def random_tensor(random: np.random.Generator, element_type: str, shape: tuple[int, ...]) -> Tensor:
    """Weights as trained models have them, for floats; any bytes for the rest."""
    count = math.prod(shape)
    weights = random.standard_normal(count, dtype=np.float32) * np.float32(0.02)
    if element_type == "F16":
        return element_type, shape, weights.astype("<f2").tobytes()
    if element_type == "F32":
        return element_type, shape, weights.tobytes()
    if element_type == "BF16":
        return element_type, shape, (weights.view("<u4") >> 16).astype("<u2").tobytes()
    return element_type, shape, random.bytes(count * {"I8": 1, "I64": 8}[element_type])


def side(path: Path) -> Side:
    content = path.read_bytes()
    return side_of_file(chunk_file(path), lambda start, length: content[start : start + length])


def applied(written: WrittenDelta, delta_path: Path, base: Path, target: Path) -> bytes:
    """What a robot makes of the file; chunks come from ``target``, as packs would give them."""
    content = delta_path.read_bytes()
    delta = decode_delta(content, len(content))
    assert delta == written.delta

    def reading(path: Path) -> memoryview:
        return memoryview(path.read_bytes())

    held, new, stored = reading(base), reading(target), memoryview(content)
    applier = Applier(
        delta,
        read_base=lambda start, length: held[start : start + length],
        read_delta=lambda start, length: stored[start : start + length],
        read_chunks=lambda start, length: new[start : start + length],
    )
    return b"".join(bytes(applier.bytes_of(placed)) for placed in delta.placed())
