"""What the fuzzer begins with: for each parser small sound files, made as our own programs make them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fleetward.contracts.ids import Digest, ModelName, Version
from fleetward.delivery.adapters import read_adapter
from fleetward.delivery.archive import ArchivedVersion, ArchiveWriter
from fleetward.delivery.delta_file import write_delta
from fleetward.delivery.manifest import encode_manifest
from tests.unit.delivery.chunked_files import Packs
from tests.unit.delivery.model_files import Tensor, onnx_model, safetensors, tensors
from tests.unit.delivery.safetensors_files import random_tensor, side, tensor, write_safetensors

ROWS, COLUMNS, RANK = 24, 32, 2


def seeds(parser: str) -> list[bytes]:
    """Contents that the parser reads without refusing."""
    with TemporaryDirectory() as folder:
        return list(_MAKERS[parser](Path(folder)))


def _manifests(_: Path) -> Iterator[bytes]:
    packs = Packs(pack_bytes=5000)
    yield encode_manifest(packs.publish([b"a" * 5000]))
    yield encode_manifest(packs.publish([b"a" * 5000, b"b" * 40, b"a" * 5000, b"c" * 4096]))


def _onnx(_: Path) -> Iterator[bytes]:
    yield bytes(onnx_model(tensors(3, 60), nodes=2).SerializeToString())
    yield bytes(onnx_model([]).SerializeToString())


def _safetensors(_: Path) -> Iterator[bytes]:
    yield safetensors([*tensors(2, 30), Tensor("empty", b"")], {"licence": "MIT"})
    yield safetensors([])


def _adapters(folder: Path) -> Iterator[bytes]:
    yield _adapter(folder).read_bytes()


def _adapter(folder: Path) -> Path:
    chance = np.random.default_rng(3)
    left = chance.standard_normal((ROWS, RANK), dtype=np.float32)
    right = chance.standard_normal((RANK, COLUMNS), dtype=np.float32)
    halves = {"q.lora_A.weight": tensor(right, "F32"), "q.lora_B.weight": tensor(left, "F32")}
    return write_safetensors(folder / "lora", halves)


def _deltas(folder: Path) -> Iterator[bytes]:
    chance = np.random.default_rng(5)
    held = {name: random_tensor(chance, "F16", (ROWS, COLUMNS)) for name in ("q.weight", "k")}
    base = side(write_safetensors(folder / "base", held))
    element_type, shape, content = held["q.weight"]
    trained = (np.frombuffer(content, "<u2") ^ 3).tobytes()
    new = {"new": random_tensor(chance, "F32", (8, 16))}
    pairs = read_adapter(_adapter(folder), 0.5)
    for number, changed in enumerate(
        ({**held, "k": (element_type, shape, trained)}, {**held, **new}, held)
    ):
        target = side(write_safetensors(folder / f"target-{number}", changed))
        write_delta(base, target, folder / "delta", pairs)
        yield (folder / "delta").read_bytes()
    merged = _merged(content)
    target = side(
        write_safetensors(folder / "merged", {**held, "q.weight": ("F16", shape, merged)})
    )
    write_delta(base, target, folder / "delta", pairs)
    yield (folder / "delta").read_bytes()


def _merged(content: bytes) -> bytes:
    chance = np.random.default_rng(3)
    left = chance.standard_normal((ROWS, RANK), dtype=np.float32)
    right = chance.standard_normal((RANK, COLUMNS), dtype=np.float32)
    weights = np.frombuffer(content, "<f2").astype(np.float32).reshape(ROWS, COLUMNS)
    return (weights + left @ right * np.float32(0.5)).astype("<f2").tobytes()


def _archives(folder: Path) -> Iterator[bytes]:
    content = b"a model" * 20
    about = ArchivedVersion(
        format=1,
        name=ModelName("detector"),
        version=Version("1.0"),
        digest=Digest(f"sha256:{hashlib.sha256(content).hexdigest()}"),
        size_bytes=len(content),
        release=3,
        lineage={"dataset": "roads-7"},
    )
    with (folder / "archive").open("wb") as file:
        writer = ArchiveWriter(file, about)
        writer.write(content)
        writer.close()
    yield (folder / "archive").read_bytes()


_MAKERS = {
    "manifest": _manifests,
    "delta": _deltas,
    "onnx": _onnx,
    "safetensors": _safetensors,
    "adapter": _adapters,
    "archive": _archives,
}
