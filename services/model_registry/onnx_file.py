"""Parses and checks one ONNX file; runs only in the limited process of ``model_file``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from fleetward.contracts.registry import TensorSpec
from model_registry.verdicts import Inspection, Refusal, short_metadata

if TYPE_CHECKING:
    import onnx

MAX_ONNX_BYTES = 2 * 1024**3 - 1
"""protobuf's own limit for one message, and so ONNX's for one file."""


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    """Carries a reason from a leaf to ``inspect``."""


def inspect(path: Path) -> Inspection | Refusal:
    """Parse and check the file at ``path``; never follows a reference out of it."""
    try:
        return _described(_parsed(path))
    except _Refused as refused:
        return Refusal(reason=str(refused))


def _parsed(path: Path) -> onnx.ModelProto:
    size_bytes = path.stat().st_size
    if size_bytes > MAX_ONNX_BYTES:
        raise _Refused(
            f"The file is {size_bytes} bytes and no safetensors, and an ONNX model in one file has "
            f"at most {MAX_ONNX_BYTES}; quantize it, or publish its weights as safetensors"
        )
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # ships no types

    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise _Refused(_NOT_ONNX + ": it cannot be parsed as one") from error
    if model.ir_version <= 0 or not model.opset_import or not model.graph.node:
        raise _Refused(_NOT_ONNX + ": it has no graph of operators")
    return model


_NOT_ONNX = "The file is not an ONNX model, or not all of one"


def _described(model: onnx.ModelProto) -> Inspection:
    _refuse_external_data(model)
    given = {tensor.name for tensor in model.graph.initializer}
    inputs = tuple(_spec(value) for value in model.graph.input if value.name not in given)
    if not inputs or not model.graph.output:
        missing = "outputs" if inputs else "inputs"
        raise _Refused(f"The graph has no {missing}; export the model with its {missing} named")
    _refuse_invalid(model)
    return Inspection(
        format="onnx",
        opset=_opset(model),
        inputs=inputs,
        outputs=tuple(_spec(value) for value in model.graph.output),
        metadata=short_metadata({entry.key: entry.value for entry in model.metadata_props}),
    )


def _refuse_external_data(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if tensor.data_location != tensor.EXTERNAL and not entries:
            continue
        location = entries.get("location", "")
        if _escapes(location):
            raise _Refused(
                f"Tensor {tensor.name!r} reads {location!r}, a path outside the model's "
                "directory; save the model as one file without external data"
            )
        raise _Refused(
            f"Tensor {tensor.name!r} keeps its values in another file ({location!r}); save the "
            "model as one file without external data"
        )


def _escapes(location: str) -> bool:
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    absolute = posix.is_absolute() or windows.is_absolute() or bool(windows.drive)
    return absolute or ".." in posix.parts or ".." in windows.parts


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor wherever ONNX allows one: graphs, nested graphs, functions, training."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _graph_tensors(graph)


def _refuse_invalid(model: onnx.ModelProto) -> None:
    import onnx

    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        first_line = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise _Refused(f"The graph is not valid ONNX: {first_line[:200]}") from error


def _opset(model: onnx.ModelProto) -> int:
    standard = [entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}]
    return max(standard, default=0)


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    import onnx

    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return TensorSpec(value.name, kind.removesuffix("_type") if kind else "unknown", ())
    tensor = value.type.tensor_type
    shape = tuple(
        dim.dim_value if dim.WhichOneof("value") == "dim_value" else -1 for dim in tensor.shape.dim
    )
    known = tensor.elem_type in onnx.TensorProto.DataType.values()
    name = onnx.TensorProto.DataType.Name(tensor.elem_type) if known else "UNDEFINED"
    return TensorSpec(value.name, name, shape)
