"""Every kind of bad file gets a clear refusal from the limited process, a good one its interface."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from fleetward.contracts.registry import TensorSpec
from model_registry.errors import InspectionFailedError, ModelRefusedError
from model_registry.inspection import InspectionLimits, inspect
from tests.integration.model_registry import graphs

LIMITS = InspectionLimits()


async def test_good_model_tells_its_interface(tmp_path: Path) -> None:
    inspection = await inspect(graphs.saved(graphs.good_model(), tmp_path / "m.onnx"), LIMITS)

    assert inspection.format == "onnx"
    assert inspection.opset == 17
    assert inspection.inputs == (TensorSpec("x", "FLOAT", (4,)),)
    assert inspection.outputs == (TensorSpec("y", "FLOAT", (4,)),)


async def test_short_metadata_is_kept_and_long_stays_in_the_file(tmp_path: Path) -> None:
    inspection = await inspect(graphs.saved(graphs.good_model(), tmp_path / "m.onnx"), LIMITS)

    assert inspection.metadata == {"licence": "Apache-2.0"}


@pytest.mark.parametrize("contents", [b"", b"GGUF a file of weights", b"hello", b"\x00" * 4096])
async def test_other_bytes_are_not_onnx(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(contents)

    with pytest.raises(ModelRefusedError, match="not an ONNX model"):
        await inspect(path, LIMITS)


async def test_half_a_model_is_not_a_model(tmp_path: Path) -> None:
    path = graphs.saved(graphs.good_model(), tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ModelRefusedError, match="not an ONNX model, or not all of one"):
        await inspect(path, LIMITS)


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../../weights.bin", "a/../../b", "C:\\weights.bin", "..\\w.bin"]
)
async def test_external_data_that_escapes_is_named_as_such(tmp_path: Path, location: str) -> None:
    path = graphs.saved(graphs.external_model(location), tmp_path / "m.onnx")

    with pytest.raises(ModelRefusedError, match="a path outside the model's directory"):
        await inspect(path, LIMITS)


async def test_external_data_beside_the_model_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"\x00" * 16)
    path = graphs.saved(graphs.external_model("weights.bin"), tmp_path / "m.onnx")

    with pytest.raises(ModelRefusedError, match="save the model as one file"):
        await inspect(path, LIMITS)


async def test_external_data_in_a_branch_is_found(tmp_path: Path) -> None:
    path = graphs.saved(graphs.external_in_subgraph_model("/etc/passwd"), tmp_path / "m.onnx")

    with pytest.raises(ModelRefusedError, match="/etc/passwd"):
        await inspect(path, LIMITS)


async def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    path = graphs.saved(graphs.model_without_inputs(), tmp_path / "m.onnx")

    with pytest.raises(ModelRefusedError, match="no inputs"):
        await inspect(path, LIMITS)


async def test_an_invalid_graph_is_refused_with_the_checkers_reason(tmp_path: Path) -> None:
    path = graphs.saved(graphs.invalid_model(), tmp_path / "m.onnx")

    with pytest.raises(ModelRefusedError, match="not valid ONNX"):
        await inspect(path, LIMITS)


async def test_a_parser_short_of_memory_dies_alone(tmp_path: Path) -> None:
    path = graphs.saved(graphs.good_model(), tmp_path / "m.onnx")
    starved = structs.replace(LIMITS, memory_bytes=64 * 1024**2)

    with pytest.raises(InspectionFailedError, match="limits of 64 MiB"):
        await inspect(path, starved)


async def test_a_parser_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    path = graphs.saved(graphs.good_model(), tmp_path / "m.onnx")

    with pytest.raises(InspectionFailedError, match=r"longer than 0\.01 s"):
        await inspect(path, structs.replace(LIMITS, wall_s=0.01))
