"""Model files written by hand, so that tests can also write wrong ones."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from onnx import ModelProto, TensorProto, helper

from fleetward.contracts.ids import Digest
from fleetward.delivery.chunking import ChunkedFile, chunk_file
from fleetward.delivery.manifest import ChunkManifest, ManifestHeader
from fleetward.delivery.packs import Packing, StoredChunks, packing_of


class Tensor(NamedTuple):
    """A tensor of bytes (U8) by its name."""

    name: str
    content: bytes


def tensors(count: int, size_bytes: int, seed: int = 1) -> list[Tensor]:
    """Tensors of random bytes, all of one size."""
    chance = random.Random(seed)
    return [Tensor(f"t{seed}.{index}", chance.randbytes(size_bytes)) for index in range(count)]


def safetensors(held: Sequence[Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """A safetensors file that holds ``held`` in this order."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for tensor in held:
        end = start + len(tensor.content)
        header[tensor.name] = entry("U8", [len(tensor.content)], start, end)
        start = end
    return with_header(json.dumps(header).encode(), b"".join(held.content for held in held))


def entry(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict[str, object]:
    """What a safetensors header says of one tensor."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def with_header(header: bytes, content: bytes, claimed: int | None = None) -> bytes:
    """A file with this header, which claims to be ``claimed`` bytes long."""
    length = len(header) if claimed is None else claimed
    return struct.pack("<Q", length) + header + content


def onnx_model(held: Sequence[Tensor], nodes: int = 1) -> ModelProto:
    """A model whose initializers are ``held``, as raw bytes, and whose graph has ``nodes``."""
    names = [f"n{index}" for index in range(nodes)]
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], [name], name=name) for name in names],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info(names[-1], TensorProto.FLOAT, [4])],
        [raw_tensor(tensor) for tensor in held],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return model


def raw_tensor(tensor: Tensor) -> TensorProto:
    """A TensorProto with raw_data."""
    return helper.make_tensor(
        tensor.name, TensorProto.UINT8, [len(tensor.content)], tensor.content, raw=True
    )


def saved(content: bytes, path: Path) -> Path:
    """Write ``content`` to ``path``."""
    path.write_bytes(content)
    return path


def chunked(content: bytes, path: Path) -> ChunkedFile:
    """``content`` as it is cut."""
    return chunk_file(saved(content, path))


def new_bytes(before: ChunkedFile, after: ChunkedFile) -> int:
    """The bytes of chunks that ``after`` has and ``before`` has not."""
    held = {chunk.sha256 for chunk in before.chunks}
    return sum(chunk.length for chunk in after.chunks if chunk.sha256 not in held)


def packed(file: ChunkedFile, stored: StoredChunks | None = None) -> tuple[Packing, ChunkManifest]:
    """How ``file`` is packed, and its manifest; new packs are named by their numbers."""
    packing = packing_of(file.chunks, stored or StoredChunks())
    names = [pack_name(file, number) for number in range(len(packing.new_packs))]
    header = ManifestHeader(
        digest=file.digest,
        size_bytes=file.layout.size_bytes,
        file_format=file.layout.file_format,
        tensors=file.layout.tensors,
        runs=packing.runs(names),
    )
    return packing, ChunkManifest(header, file.chunks)


def pack_name(file: ChunkedFile, number: int) -> Digest:
    """A digest that stands for a file's new pack."""
    return Digest(f"{file.digest[:-4]}{number:04x}")
