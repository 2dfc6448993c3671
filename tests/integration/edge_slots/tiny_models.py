"""Real ONNX models of a few hundred bytes, each with one property a test needs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge_bridge.workers.staged_model import StagedModel
from fleetward.contracts.ids import Digest, ModelRef, model_name, version

SIDE_PX = 8


def staged(path: Path, *, digest: Digest | None = None) -> StagedModel:
    """The file as the bridge would hand it over; version: the file's own name."""
    reference = ModelRef(model_name("tiny"), version(path.stem))
    return StagedModel(model=reference, digest=digest or digest_of(path), path=path)


def digest_of(path: Path) -> Digest:
    return Digest("sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())


def brightness(directory: Path, name: str, *, gain: float = 1.0) -> StagedModel:
    """Answers the mean of all pixels in 0..1, times ``gain``, which is also its confidence."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["y"]),
    ]
    gains = numpy_helper.from_array(np.array(gain, np.float32), "gain")
    return _saved(directory, name, nodes, [gains], {"output": "y", "kind": "max"})


def laborious(directory: Path, name: str, *, products: int) -> StagedModel:
    """As ``brightness``, after so many products of matrices of 384 x 384: some ms each on one core."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0)]
    nodes += [helper.make_node("Mul", ["work", "mean"], ["p0"])]
    for step in range(products):
        nodes += [helper.make_node("MatMul", [f"p{step}", "work"], [f"p{step + 1}"])]
    nodes += [
        helper.make_node("ReduceMean", [f"p{products}"], ["worked"], keepdims=0),
        helper.make_node("Mul", ["worked", "zero"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.eye(384, dtype=np.float32), "work"),
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
    ]
    return _saved(directory, name, nodes, constants, None)


def failing(directory: Path, name: str, *, on_black: bool) -> StagedModel:
    """Loads, and fails at run time: on a black frame as well, or only on a bright one."""
    first = 7 if on_black else 0
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "seven"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Add", ["whole", "first"], ["index"]),
        helper.make_node("Gather", ["table", "index"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(7, np.float32), "seven"),
        numpy_helper.from_array(np.array(first, np.int64), "first"),
        numpy_helper.from_array(np.zeros(2, np.float32), "table"),
    ]
    return _saved(directory, name, nodes, constants, None)


def counting_audio(directory: Path, name: str, *, step: int) -> StagedModel:
    """Answers the peak of its samples, and counts frames in steps of ``step``, by its own state."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("ReduceMax", ["samples"], ["peak"], keepdims=0),
        helper.make_node("Cast", ["step"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["state", "wide"], ["count"]),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [
            value("samples", TensorProto.FLOAT, [1, "length"]),
            value("state", TensorProto.FLOAT, [1]),
            value("step", TensorProto.INT64, []),
        ],
        [value("peak", TensorProto.FLOAT, []), value("count", TensorProto.FLOAT, [1])],
    )
    described = {"fleetward.state": {"state": "count"}, "fleetward.constants": {"step": step}}
    return _written(directory, name, graph, described)


def leaking(directory: Path, name: str, *, floats_a_frame: int) -> StagedModel:
    """As ``brightness``, and keeps so many floats more with each frame, in a state that only grows."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0),
        helper.make_node("ConstantOfShape", ["more"], ["block"]),
        helper.make_node("Concat", ["state", "block"], ["grown"], axis=0),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        name,
        [
            value("x", TensorProto.FLOAT, [1, 3, SIDE_PX, SIDE_PX]),
            value("state", TensorProto.FLOAT, ["length"]),
        ],
        [value("y", TensorProto.FLOAT, []), value("grown", TensorProto.FLOAT, ["longer"])],
        [numpy_helper.from_array(np.array([floats_a_frame], np.int64), "more")],
    )
    return _written(directory, name, graph, {"fleetward.state": {"state": "grown"}})


def with_external_data(directory: Path, name: str) -> StagedModel:
    """A model whose weights lie beside it, outside of the bytes that its digest covers."""
    model = onnx.load(brightness(directory, name).path)
    for constant in model.graph.initializer:
        onnx.external_data_helper.set_external_data(constant, f"{name}.weights")
    onnx.save(model, directory / f"{name}.onnx")
    return staged(directory / f"{name}.onnx")


def _saved(
    directory: Path,
    name: str,
    nodes: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    confidence: dict[str, str] | None,
) -> StagedModel:
    shape = [1, 3, SIDE_PX, SIDE_PX]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
        constants,
    )
    return _written(directory, name, graph, {"fleetward.confidence": confidence})


def _written(
    directory: Path, name: str, graph: onnx.GraphProto, described: dict[str, object]
) -> StagedModel:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    texts = {key: json.dumps(value) for key, value in described.items() if value is not None}
    helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    path = directory / f"{name}.onnx"
    onnx.save(model, path)
    return staged(path)
