"""What an ONNX model shows to the outside: inputs, outputs and metadata, without loading its graph.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto. Inputs that are initializers
too, as files of IR version 3 have them, are no inputs.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from msgspec import Struct

from fleetward.delivery.protobuf_walk import LENGTH, VARINT, Field, Walk, WalkError
from fleetward.engines.errors import OnnxFaceError

MAX_TEXT_BYTES = 256 * 1024
"""Of one name or one metadata value."""

_MODEL_GRAPH, _MODEL_METADATA = 7, 14
_GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR = 1
_TENSOR_ELEMENT, _TENSOR_SHAPE = 1, 2
_SHAPE_DIMENSION, _DIMENSION_VALUE = 1, 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_NEGATIVE = 1 << 63
"""A varint from here on is a negative int64."""

_ELEMENTS = {
    **{1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64"},
    **{9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64"},
}


class Port(Struct, frozen=True, kw_only=True):
    """One input or output. element: numpy's name of its type, or ONNX's number where numpy has none.

    shape: None where a dimension is free.
    """

    name: str
    element: str
    shape: tuple[int | None, ...]


class OnnxFace(Struct, frozen=True, kw_only=True):
    """inputs and outputs in the model's own order; metadata: its ``metadata_props``."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    metadata: dict[str, str]


def onnx_face(model: bytes) -> OnnxFace:
    """Read the face of a model; raises OnnxFaceError."""
    try:
        return _Reader(model).face()
    except (WalkError, UnicodeDecodeError) as problem:
        raise OnnxFaceError(f"it is no readable ONNX model: {problem}") from problem


class _Reader:
    def __init__(self, model: bytes) -> None:
        self._walk = Walk(io.BytesIO(model), len(model))
        self._size_bytes = len(model)

    def face(self) -> OnnxFace:
        graph: Field | None = None
        metadata = {}
        for field in self._walk.fields(0, self._size_bytes):
            if field.number == _MODEL_GRAPH and field.wire == LENGTH:
                graph = field
            elif field.number == _MODEL_METADATA and field.wire == LENGTH:
                key, value = (self._text(field, part) for part in (_ENTRY_KEY, _ENTRY_VALUE))
                metadata[key] = value
        if graph is None:
            raise OnnxFaceError("it is no ONNX model: it holds no graph")
        inputs, outputs, constants = [], [], set()
        for field in self._walk.fields(graph.start, graph.end):
            if field.number == _GRAPH_INPUT:
                inputs.append(self._port(field))
            elif field.number == _GRAPH_OUTPUT:
                outputs.append(self._port(field))
            elif field.number == _GRAPH_INITIALIZER:
                constants.add(self._text(field, _TENSOR_NAME))
        real = tuple(port for port in inputs if port.name not in constants)
        return OnnxFace(inputs=real, outputs=tuple(outputs), metadata=metadata)

    def _port(self, value: Field) -> Port:
        element = 0
        shape: tuple[int | None, ...] = ()
        for kind in self._parts(value, _VALUE_TYPE):
            for tensor in self._parts(kind, _TYPE_TENSOR):
                element = self._number(tensor, _TENSOR_ELEMENT) or 0
                for declared in self._parts(tensor, _TENSOR_SHAPE):
                    shape = self._shape(declared)
        name = self._text(value, _VALUE_NAME)
        return Port(name=name, element=_ELEMENTS.get(element, str(element)), shape=shape)

    def _shape(self, declared: Field) -> tuple[int | None, ...]:
        sides = self._parts(declared, _SHAPE_DIMENSION)
        return tuple(_known(self._number(side, _DIMENSION_VALUE)) for side in sides)

    def _parts(self, field: Field, number: int) -> Iterator[Field]:
        for part in self._walk.fields(field.start, field.end):
            if part.number == number and part.wire == LENGTH:
                yield part

    def _number(self, field: Field, number: int) -> int | None:
        for part in self._walk.fields(field.start, field.end):
            if part.number == number and part.wire == VARINT:
                return part.value
        return None

    def _text(self, field: Field, number: int) -> str:
        for part in self._parts(field, number):
            return self._walk.read(part, MAX_TEXT_BYTES).decode()
        return ""


def _known(side: int | None) -> int | None:
    """A dimension's length; some exporters write 0 or -1 for a free one."""
    return side if side and side < _NEGATIVE else None
