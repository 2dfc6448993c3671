"""Finds the initializers of an ONNX file by a walk over its protobuf; the graph is never loaded.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Tensors of nested graphs and
of Constant nodes are found too. A tensor whose values are not written as plain little-endian bytes
of its own shape (external, sparse, as varints) has no span; that costs bytes, never correctness.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from msgspec import Struct, structs

from fleetward.delivery.elements import MAX_RANK, bytes_of
from fleetward.delivery.manifest import MAX_TENSORS, TensorSpan
from fleetward.delivery.protobuf_walk import LENGTH, VARINT, Field, Walk, WalkError

MAX_DEPTH = 16
"""Graphs in graphs; protobuf itself stops at 100 messages."""
MAX_NAME_BYTES = 1024
MAX_NAMES_BYTES = 8 * 1024 * 1024
"""All names together: what they add to a manifest is bounded whoever wrote the file."""
SMALL_NODE_BYTES = 512
"""A node below this holds no tensor worth a cut."""

_MODEL_IR_VERSION, _MODEL_GRAPH = 1, 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_OUTPUT, _NODE_ATTRIBUTE = 2, 5
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_DIMS, _TYPE, _FLOATS, _NAME, _RAW, _DOUBLES = 1, 2, 4, 8, 9, 10

_ELEMENT_TYPES = {
    **{1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16"},
    **{11: "F64", 12: "U32", 13: "U64", 14: "C64", 15: "C128", 16: "BF16", 17: "F8_E4M3"},
    **{19: "F8_E5M2", 21: "U4", 22: "I4", 23: "F4", 24: "F8_E8M0"},
}
_VALUES_OF = {_FLOATS: "F32", _DOUBLES: "F64"}
"""Packed fields whose content is the same little-endian bytes that raw_data would hold."""


class NotOnnxError(Exception):
    """The bytes do not walk as ONNX within the limits; never leaves this package."""


class _Tensor(Struct, frozen=True):
    """What was read of a TensorProto so far."""

    name: str = ""
    element_type: str = ""
    shape: tuple[int, ...] = ()
    values: Field | None = None


def onnx_tensors(file: BinaryIO, size_bytes: int) -> tuple[TensorSpan, ...]:
    """Every tensor that has plain bytes, in the order of the file; raises NotOnnxError."""
    try:
        spans = list(_bounded(_model(Walk(file, size_bytes), size_bytes)))
    except WalkError as error:
        raise NotOnnxError(str(error)) from error
    return tuple(sorted(spans, key=lambda span: span.start))


def _bounded(spans: Iterator[TensorSpan]) -> Iterator[TensorSpan]:
    names_bytes = 0
    for count, span in enumerate(spans, start=1):
        names_bytes += len(span.name)
        if count > MAX_TENSORS or names_bytes > MAX_NAMES_BYTES:
            raise WalkError(f"more than {MAX_TENSORS} tensors or {MAX_NAMES_BYTES} bytes of names")
        yield span


def _model(walk: Walk, size_bytes: int) -> Iterator[TensorSpan]:
    versions = graphs = 0
    for field in walk.fields(0, size_bytes):
        versions += field.number == _MODEL_IR_VERSION and field.wire == VARINT
        if field.number == _MODEL_GRAPH and field.wire == LENGTH:
            graphs += 1
            yield from _graph(walk, field, "", MAX_DEPTH)
    if not versions or not graphs:
        raise WalkError("no ir_version, or no graph")


def _graph(walk: Walk, graph: Field, prefix: str, depth: int) -> Iterator[TensorSpan]:
    if depth == 0:
        return
    for field in walk.fields(graph.start, graph.end):
        if field.wire != LENGTH:
            continue
        if field.number == _GRAPH_INITIALIZER:
            yield from _tensor(walk, field, prefix)
        elif field.number == _GRAPH_NODE and field.end - field.start >= SMALL_NODE_BYTES:
            yield from _node(walk, field, prefix, depth)


def _node(walk: Walk, node: Field, prefix: str, depth: int) -> Iterator[TensorSpan]:
    output = ""
    for field in walk.fields(node.start, node.end):
        if field.wire != LENGTH:
            continue
        if field.number == _NODE_OUTPUT and not output:
            output = _text(walk, field)
        elif field.number == _NODE_ATTRIBUTE:
            yield from _attribute(walk, field, f"{prefix}{output}/", depth)


def _attribute(walk: Walk, attribute: Field, prefix: str, depth: int) -> Iterator[TensorSpan]:
    for field in walk.fields(attribute.start, attribute.end):
        if field.wire != LENGTH:
            continue
        if field.number in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            yield from _tensor(walk, field, prefix)
        elif field.number in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            yield from _graph(walk, field, prefix, depth - 1)


def _tensor(walk: Walk, message: Field, prefix: str) -> Iterator[TensorSpan]:
    tensor = _Tensor()
    for field in walk.fields(message.start, message.end):
        tensor = _with(walk, tensor, field)
    values = tensor.values
    if values is None or values.end == values.start:
        return
    written = _VALUES_OF.get(values.number, tensor.element_type)
    length = values.end - values.start
    if written == tensor.element_type and bytes_of(written, tensor.shape) == length:
        yield TensorSpan(prefix + tensor.name, written, tensor.shape, values.start, length)


def _with(walk: Walk, tensor: _Tensor, field: Field) -> _Tensor:
    if field.number == _DIMS:
        more = [field.value] if field.wire == VARINT else walk.varints(field, MAX_RANK)
        shape = (*tensor.shape, *more)
        if len(shape) > MAX_RANK:
            raise WalkError(f"a tensor of more than {MAX_RANK} dimensions")
        return structs.replace(tensor, shape=shape)
    if field.number == _TYPE and field.wire == VARINT:
        return structs.replace(tensor, element_type=_ELEMENT_TYPES.get(field.value, ""))
    if field.wire != LENGTH:
        return tensor
    if field.number == _NAME:
        return structs.replace(tensor, name=_text(walk, field))
    if field.number in (_RAW, *_VALUES_OF):
        return structs.replace(tensor, values=field)
    return tensor


def _text(walk: Walk, field: Field) -> str:
    return walk.read(field, MAX_NAME_BYTES).decode("utf-8", "replace")
