"""An ONNX file tells where its tensors lie without being loaded; what does not walk is opaque."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import ModelProto, NodeProto, TensorProto, helper

from fleetward.delivery.layout import layout_of
from fleetward.delivery.manifest import TensorSpan
from fleetward.delivery.onnx_layout import NotOnnxError, onnx_tensors
from tests.unit.delivery.model_files import Tensor, onnx_model, raw_tensor, saved, tensors


def spans_of(content: bytes) -> tuple[TensorSpan, ...]:
    return onnx_tensors(io.BytesIO(content), len(content))


def test_every_initializer_lies_where_the_layout_says(tmp_path: Path) -> None:
    held = tensors(7, 100_000)
    content = onnx_model(held, nodes=50).SerializeToString()

    layout = layout_of(saved(content, tmp_path / "m.onnx"))

    assert (layout.file_format, layout.size_bytes) == ("onnx", len(content))
    assert [span.name for span in layout.tensors] == [tensor.name for tensor in held]
    for span, tensor in zip(layout.tensors, held, strict=True):
        assert content[span.start : span.start + span.length] == tensor.content
        assert (span.element_type, span.shape) == ("U8", (100_000,))


@pytest.mark.parametrize(
    ("onnx_type", "element_type", "element_bytes"),
    [
        (TensorProto.FLOAT, "F32", 4),
        (TensorProto.FLOAT16, "F16", 2),
        (TensorProto.BFLOAT16, "BF16", 2),
        (TensorProto.INT8, "I8", 1),
        (TensorProto.INT64, "I64", 8),
        (TensorProto.DOUBLE, "F64", 8),
    ],
)
def test_raw_values_have_their_element_type_and_shape(
    onnx_type: int, element_type: str, element_bytes: int
) -> None:
    tensor = TensorProto(name="w", dims=[2, 3], data_type=onnx_type)
    tensor.raw_data = bytes(6 * element_bytes)

    (span,) = spans_of(with_initializers(tensor))

    assert (span.element_type, span.shape) == (element_type, (2, 3))
    assert span.length == 6 * element_bytes


@pytest.mark.parametrize(
    ("onnx_type", "element_type"), [(TensorProto.FLOAT, "F32"), (TensorProto.DOUBLE, "F64")]
)
def test_packed_floats_are_as_good_as_raw_values(onnx_type: int, element_type: str) -> None:
    content = with_initializers(helper.make_tensor("w", onnx_type, [3], [1.0, 2.0, 3.0]))

    (span,) = spans_of(content)

    assert (span.element_type, span.length) == (element_type, 12 if element_type == "F32" else 24)


def test_values_written_as_varints_have_no_span() -> None:
    assert (
        spans_of(with_initializers(helper.make_tensor("w", TensorProto.INT64, [2], [1, 2]))) == ()
    )


def test_external_values_have_no_span() -> None:
    tensor = TensorProto(name="w", dims=[4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")

    assert spans_of(with_initializers(tensor)) == ()


def test_tensors_of_constants_and_of_nested_graphs_are_found() -> None:
    inner = Tensor("inner", bytes(range(256)) * 8)
    constant = helper.make_node("Constant", [], ["c"], value=raw_tensor(inner._replace(name="v")))
    output = helper.make_tensor_value_info("c", TensorProto.UINT8, [2048])
    branch = helper.make_graph([constant], "branch", [], [output], [raw_tensor(inner)])
    chosen = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)

    spans = spans_of(with_nodes(chosen))

    assert sorted(span.name for span in spans) == ["y/c/v"] * 2 + ["y/inner"] * 2
    assert {span.length for span in spans} == {2048}


def test_a_cut_off_model_is_opaque(tmp_path: Path) -> None:
    content = onnx_model(tensors(3, 5000)).SerializeToString()

    assert layout_of(saved(content[:-40], tmp_path / "cut")).file_format == "opaque"


def varint(number: int) -> bytes:
    """``number`` as protobuf writes it."""
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def message(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def nested(depth: int) -> bytes:
    """A model of graphs in attributes of nodes of graphs, ``depth`` deep, with a tensor inside."""
    content = onnx_model(tensors(1, 2048)).graph.SerializeToString()
    for _ in range(depth):
        content = message(1, message(5, message(6, content)))
    return b"\x08\x08" + message(7, content)


HEAD = b"\x08\x08"
NO_ONNX = {
    "empty": b"",
    "a length of 2^63": HEAD + b"\x3a" + varint(2**63) + bytes(50),
    "a length of 2^64 - 1": HEAD + b"\x3a" + varint(2**64 - 1) + bytes(50),
    "a length past the graph": HEAD + message(7, b"\x2a" + varint(10_000)) + bytes(20_000),
    "a number without an end": HEAD + b"\xff" * 100,
    "field number 0": HEAD + message(7, b"") + b"\x00\x00",
    "a group": HEAD + message(7, b"") + b"\x0b\x0c",
    "10^6 dimensions": HEAD + message(7, message(5, b"\x08\x01" * 10**6)),
    "10^6 packed dimensions": HEAD + message(7, message(5, message(1, b"\x01" * 10**6))),
    "10^6 tensors": HEAD + message(7, message(5, b"\x08\x01\x10\x02" + message(9, b"v")) * 10**6),
    "a million fields": HEAD + message(7, b"\x08\x01" * 1_000_001),
    "names of 10 MiB": HEAD
    + message(
        7, message(5, b"\x08\x01\x10\x02" + message(8, b"n" * 2000) + message(9, b"v")) * 10_000
    ),
    "text": b"dear registry, please run this\n" * 100,
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94.",
}


@pytest.mark.parametrize("content", NO_ONNX.values(), ids=NO_ONNX)
def test_what_does_not_walk_as_onnx_is_opaque_soon(content: bytes, tmp_path: Path) -> None:
    path = saved(content, tmp_path / "hostile")
    started = time.process_time()

    layout = layout_of(path)

    assert (layout.file_format, layout.tensors) == ("opaque", ())
    assert time.process_time() - started < 10.0


def test_graphs_nested_deeper_than_the_limit_are_left_alone() -> None:
    assert len(spans_of(nested(10))) == 1
    assert spans_of(nested(500)) == ()


@given(st.binary(max_size=400))
def test_no_bytes_break_the_walk(content: bytes) -> None:
    for start in (b"", HEAD + message(7, content)):
        expect_spans_inside(start + content)


_WHOLE = onnx_model(tensors(3, 600)).SerializeToString()


@given(st.integers(0, len(_WHOLE) - 1), st.integers(0, 255), st.integers(0, len(_WHOLE)))
def test_a_changed_byte_or_a_cut_gives_spans_inside_the_file(at: int, byte: int, end: int) -> None:
    content = bytearray(_WHOLE)
    content[at] = byte
    expect_spans_inside(bytes(content))
    expect_spans_inside(bytes(content[:end]))


def expect_spans_inside(content: bytes) -> None:
    """Spans in order, disjoint and inside the file, or no ONNX at all."""
    try:
        spans = spans_of(content)
    except NotOnnxError:
        return
    end = 0
    for span in spans:
        assert end <= span.start
        end = span.start + span.length
    assert end <= len(content)


def with_initializers(*initializers: TensorProto) -> bytes:
    model = onnx_model([])
    model.graph.initializer.extend(initializers)
    return serialized(model)


def with_nodes(*nodes: NodeProto) -> bytes:
    model = onnx_model([])
    model.graph.node.extend(nodes)
    return serialized(model)


def serialized(model: ModelProto) -> bytes:
    content: bytes = model.SerializeToString()
    return content
