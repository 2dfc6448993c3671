"""ONNX files that tests push: a small good one, and one of each kind that must be refused."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto, NodeProto, TensorProto, helper

FEATURES = 4


def good_model(bias: float = 1.0) -> ModelProto:
    """y = x + bias; another bias makes other bytes."""
    return _model([helper.make_node("Add", ["x", "bias"], ["y"])], [_bias_tensor(bias)])


def external_model(location: str) -> ModelProto:
    """A model whose bias claims to lie in another file."""
    bias = TensorProto(
        name="bias",
        dims=[FEATURES],
        data_type=TensorProto.FLOAT,
        data_location=TensorProto.EXTERNAL,
    )
    bias.external_data.add(key="location", value=location)
    return _model([helper.make_node("Add", ["x", "bias"], ["y"])], [bias])


def external_in_subgraph_model(location: str) -> ModelProto:
    """A model that hides its reference to another file in the branch of an If."""
    hidden = external_model(location).graph.initializer[0]
    constant = helper.make_node("Constant", [], ["c"], value=hidden)
    output = helper.make_tensor_value_info("c", TensorProto.FLOAT, [FEATURES])
    branch = helper.make_graph([constant], "branch", [], [output])
    node = helper.make_node("If", ["flag"], ["y"], then_branch=branch, else_branch=branch)
    flag = helper.make_tensor("flag", TensorProto.BOOL, [], [True])
    return _model([node], [flag])


def model_without_inputs() -> ModelProto:
    """A model that needs nothing to say something."""
    node = helper.make_node("Identity", ["bias"], ["y"])
    return _model([node], [_bias_tensor(1.0)], inputs=False)


def invalid_model() -> ModelProto:
    """Parses as ONNX, but its only operator lacks an input that nothing gives."""
    return _model([helper.make_node("Add", ["x", "nobody"], ["y"])], [])


def saved(model: ModelProto, path: Path) -> Path:
    """Write ``model`` without ever touching the files it may refer to."""
    path.write_bytes(model.SerializeToString())
    return path


def _bias_tensor(bias: float) -> TensorProto:
    return helper.make_tensor("bias", TensorProto.FLOAT, [FEATURES], [bias] * FEATURES)


def _model(
    nodes: list[NodeProto], initializers: list[TensorProto], *, inputs: bool = True
) -> ModelProto:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [FEATURES])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [FEATURES])
    graph = helper.make_graph(nodes, "graph", [x] if inputs else [], [y], initializers)
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = min(model.ir_version, 10)
    model.metadata_props.add(key="licence", value="Apache-2.0")
    model.metadata_props.add(key="characters", value="x" * 20_000)
    return model
