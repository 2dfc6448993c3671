"""Eight updates of a synthetic fp16 transformer, as files: what robots are sent again and again.

Weights are normal with a spread of scales by row, as trained ones are. Written tensor by tensor, so
that memory does not grow with the model.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from msgspec import Struct
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SEED = 7
WIDTH = 1024
RANK = 16
FULL_LAYERS = 12
"""With these the model is 372 MB; fewer make a smaller one with the same shares."""

Weights = NDArray[np.float32]
Halves = NDArray[np.float16]
Shape = tuple[int, ...]


class Update(Struct, frozen=True):
    """One update: from ``base`` to ``target``; ``share`` is the most of the file that may move.

    ``adapter`` is the LoRA file that was merged, for the one update that has one.
    """

    name: str
    base: Path
    target: Path
    share: float
    adapter: Path | None = None


Change = Callable[[str, Weights, Halves, np.random.Generator], Halves]


def build_updates(folder: Path, layers: int = FULL_LAYERS) -> list[Update]:
    """Write base, targets and adapter into ``folder``; about 3.4 GB with FULL_LAYERS."""
    shapes = _shapes(layers)
    factors = _factors(shapes)
    base, adapter = folder / "base.safetensors", folder / "adapter.safetensors"
    changes: dict[str, Change] = {
        "base": _unchanged,
        "head": _head,
        "header": _head,
        "lora": _merging(factors),
        "small": _all_by(1e-5),
        "large": _all_by(2e-4),
        "inserted": _unchanged,
    }
    _write_models(folder, shapes, changes)
    _write_adapter(adapter, factors)
    exports = _write_exports(folder, base)

    def update(name: str, file: str, share: float, adapter: Path | None = None) -> Update:
        return Update(name, base, folder / f"{file}.safetensors", share, adapter)

    return [
        update("head only (5.6 %)", "head", 0.04),
        update("head only, header longer", "header", 0.04),
        update("LoRA merged, adapter not given", "lora", 0.20),
        update("LoRA merged, by recipe", "lora", 0.01, adapter),
        update("every weight, 0.05 % RMS", "small", 0.25),
        update("every weight, 1 % RMS", "large", 0.52),
        update("4 MiB tensor inserted", "inserted", 0.012),
        Update("ONNX: a node inserted", exports[0], exports[1], 0.001),
        Update("ONNX: re-exported, weights renamed", exports[0], exports[2], 0.001),
    ]


def _shapes(layers: int) -> dict[str, Shape]:
    scale = layers / FULL_LAYERS
    shapes: dict[str, Shape] = {"embed.weight": (int(24_000 * scale), WIDTH)}
    for layer in range(layers):
        prefix = f"layers.{layer:02d}."
        for side in "qkvo":
            shapes[f"{prefix}attn.{side}_proj.weight"] = (WIDTH, WIDTH)
        shapes[f"{prefix}mlp.up.weight"] = (4 * WIDTH, WIDTH)
        shapes[f"{prefix}mlp.down.weight"] = (WIDTH, 4 * WIDTH)
        shapes[f"{prefix}norm1.weight"] = shapes[f"{prefix}norm2.weight"] = (WIDTH,)
    shapes["action_head.fc1.weight"] = (int(8192 * scale), WIDTH)
    shapes["action_head.fc2.weight"] = (256, int(8192 * scale))
    return shapes


def _weights(name: str, shape: Shape, random: np.random.Generator) -> Weights:
    if "norm" in name:
        return np.float32(1) + np.float32(0.05) * random.standard_normal(shape, dtype=np.float32)
    deviation = np.float32(0.03 if "attn" in name or "head" in name else 0.02)
    by_row = np.exp(random.normal(0, 0.25, (shape[0], 1))).astype(np.float32)
    return random.standard_normal(shape, dtype=np.float32) * by_row * deviation


def _unchanged(name: str, weights: Weights, held: Halves, random: np.random.Generator) -> Halves:
    return held


def _all_by(deviation: float) -> Change:
    def change(name: str, weights: Weights, held: Halves, random: np.random.Generator) -> Halves:
        noise = random.standard_normal(weights.shape, dtype=np.float32)
        return (weights + noise * np.float32(deviation)).astype(np.float16)

    return change


def _head(name: str, weights: Weights, held: Halves, random: np.random.Generator) -> Halves:
    trained = "action_head" in name
    return _all_by(2e-3)(name, weights, held, np.random.default_rng(SEED)) if trained else held


def _merging(factors: Mapping[str, tuple[Halves, Halves]]) -> Change:
    def change(name: str, weights: Weights, held: Halves, random: np.random.Generator) -> Halves:
        if name not in factors:
            return held
        left, right = (half.astype(np.float32) for half in factors[name])
        return (held.astype(np.float32) + left @ right).astype(np.float16)

    return change


def _factors(shapes: Mapping[str, Shape]) -> dict[str, tuple[Halves, Halves]]:
    random = np.random.default_rng(SEED + 1)

    def half(shape: Shape) -> Halves:
        return (random.standard_normal(shape, dtype=np.float32) * 0.02).astype(np.float16)

    return {
        name: (half((shape[0], RANK)), half((RANK, shape[1])))
        for name, shape in shapes.items()
        if "attn" in name
    }


INSERTED = ("layers.06.adapter.weight", (2048, WIDTH))


def _write_models(folder: Path, shapes: Mapping[str, Shape], changes: Mapping[str, Change]) -> None:
    random = np.random.default_rng(SEED)
    steps = {"header": "100000000000000"}
    after = list(shapes)[len(shapes) // 2]
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for name in changes:
            held = dict(_inserted_after(shapes, after) if name == "inserted" else shapes.items())
            path = folder / f"{name}.safetensors"
            files[name] = stack.enter_context(path.open("wb"))
            files[name].write(_header(held, steps.get(name, "1000")))
        for tensor, shape in shapes.items():
            weights = _weights(tensor, shape, random)
            halves = weights.astype(np.float16)
            for name, change in changes.items():
                files[name].write(change(tensor, weights, halves, random).tobytes())
            if tensor == after:
                inserted = _weights(*INSERTED, np.random.default_rng(SEED + 2))
                files["inserted"].write(inserted.astype(np.float16).tobytes())


def _inserted_after(shapes: Mapping[str, Shape], after: str) -> Iterator[tuple[str, Shape]]:
    for name, shape in shapes.items():
        yield name, shape
        if name == after:
            yield INSERTED


def _header(shapes: Mapping[str, Shape], step: str) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt", "step": step}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _write_adapter(path: Path, factors: Mapping[str, tuple[Halves, Halves]]) -> None:
    halves: dict[str, Halves] = {}
    for name, (left, right) in factors.items():
        module = "base_model.model." + name.removesuffix(".weight")
        halves[f"{module}.lora_A.weight"] = right
        halves[f"{module}.lora_B.weight"] = left
    header = _header({name: half.shape for name, half in halves.items()}, "1000")
    path.write_bytes(header + b"".join(half.tobytes() for half in halves.values()))


def _write_exports(folder: Path, base: Path) -> list[Path]:
    """The base as ONNX; with a node inserted; and that with every weight renamed besides."""
    variants = {"plain": (False, 0), "node": (True, 0), "renamed": (True, 7)}
    weights = dict(_read(base))
    paths = []
    for name, (is_longer, first_number) in variants.items():
        paths.append(folder / f"{name}.onnx")
        onnx.save(_export(weights, is_longer=is_longer, first_number=first_number), paths[-1])
    return paths


def _read(path: Path) -> Iterator[tuple[str, Halves]]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        del header["__metadata__"]
        for name, tensor in header.items():
            start, end = tensor["data_offsets"]
            yield name, np.frombuffer(file.read(end - start), np.float16).reshape(tensor["shape"])


def _export(
    weights: Mapping[str, Halves], *, is_longer: bool, first_number: int
) -> onnx.ModelProto:
    last = "x0"
    nodes = [helper.make_node("Gather", ["embed.weight", "ids"], [last], name="embed")]
    initializers = [numpy_helper.from_array(weights["embed.weight"], "embed.weight")]
    for index, (name, half) in enumerate(list(weights.items())[1:]):
        called = f"onnx::MatMul_{1000 + first_number + index}"
        initializers.append(numpy_helper.from_array(half, called))
        operator = "MatMul" if half.ndim == 2 else "Mul"
        nodes.append(
            helper.make_node(
                operator, [last, called], [f"x{index + 1}"], name=f"/{name}/{operator}"
            )
        )
        last = f"x{index + 1}"
        if is_longer and index == 10:
            nodes.append(helper.make_node("Relu", [last], [f"{last}_r"], name="inserted_relu"))
            last = f"{last}_r"
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])
    out = helper.make_tensor_value_info(last, TensorProto.FLOAT16, None)
    return helper.make_model(helper.make_graph(nodes, "g", [ids], [out], initializers))
