"""The face of a model is what ONNX Runtime sees of it, and foreign bytes are refused in words."""

from __future__ import annotations

import random
from pathlib import Path

import onnxruntime as ort  # type: ignore[import-untyped]  # ships no types
import pytest
from onnx import TensorProto, helper

from fleetward.engines.errors import OnnxFaceError
from fleetward.engines.onnx_face import Port, onnx_face
from tests.integration.edge_slots.tiny_models import brightness, counting_audio

ELEMENTS = {"float32": "tensor(float)", "int64": "tensor(int64)"}


@pytest.mark.parametrize("kind", ["picture", "audio"])
def test_a_model_shows_what_onnx_runtime_sees(tmp_path: Path, kind: str) -> None:
    made = (
        brightness(tmp_path, "v1") if kind == "picture" else counting_audio(tmp_path, "v1", step=2)
    )
    model = made.path.read_bytes()
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    face = onnx_face(model)
    for ports, seen in ((face.inputs, session.get_inputs()), (face.outputs, session.get_outputs())):
        assert [(port.name, ELEMENTS[port.element]) for port in ports] == [
            (one.name, one.type) for one in seen
        ]
        assert [port.shape for port in ports] == [
            tuple(side if isinstance(side, int) else None for side in one.shape) for one in seen
        ]
    assert face.metadata == session.get_modelmeta().custom_metadata_map


def test_initializers_are_no_inputs_and_negative_lengths_are_free() -> None:
    """As exporters of IR version 3 write them."""
    value = helper.make_tensor_value_info
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "old",
        [value("x", TensorProto.FLOAT, [-1, 0, "n", 2]), value("w", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT16, [])],
        [weight],
    )
    face = onnx_face(helper.make_model(graph).SerializeToString())
    assert face.inputs == (Port(name="x", element="float32", shape=(None, None, None, 2)),)
    assert face.outputs == (Port(name="y", element="float16", shape=()),)


def test_foreign_bytes_are_refused_and_nothing_else_happens(tmp_path: Path) -> None:
    model = brightness(tmp_path, "v1").path.read_bytes()
    chance = random.Random(7)
    for content in (b"", b"PK\x03\x04", model[:40]):
        with pytest.raises(OnnxFaceError, match=r"no readable ONNX|no ONNX"):
            onnx_face(content)
    for _ in range(300):
        altered = bytearray(model)
        altered[chance.randrange(len(model))] = chance.randrange(256)
        try:
            onnx_face(bytes(altered))
        except OnnxFaceError:
            continue
