"""Releases of the bridge are published as models are, under a name that is theirs alone."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from fleetward.bus.errors import RefusedError
from fleetward.client import Fleet
from fleetward.contracts.bridge_release import BRIDGE_FORMAT, BRIDGE_MODEL
from fleetward.releases.archive import Platform, write_archive
from tests.integration.model_registry import graphs

ORIN = Platform(python="3.10", arch="aarch64", glibc="2.35")
LARGE_BYTES = 2_000_000


def release(directory: Path, version: str) -> Path:
    """One wheel that differs and one, by far the larger, that does not."""
    bridge = directory / f"edge_bridge-{version}-py3-none-any.whl"
    with zipfile.ZipFile(bridge, "w") as wheel:
        wheel.writestr("edge_bridge/__init__.py", f"VERSION = {version!r}\n")
    runtime = directory / "onnxruntime-1.20-py3-none-any.whl"
    if not runtime.exists():
        with zipfile.ZipFile(runtime, "w") as wheel:
            wheel.writestr("onnxruntime/lib.so", os.urandom(LARGE_BYTES))
    path = directory / f"{version}.tar"
    write_archive(path, ORIN, version, [bridge, runtime])
    return path


async def test_a_release_is_signed_and_the_next_one_sends_only_what_changed(
    fleet: Fleet, tmp_path: Path
) -> None:
    sent: list[int] = []
    await fleet.push_model(release(tmp_path, "0.2.0"), BRIDGE_MODEL, "0.2.0")
    pushed = await fleet.push_model(
        release(tmp_path, "0.3.0"),
        BRIDGE_MODEL,
        "0.3.0+orin",
        fits="hw=orin",
        progress=lambda done, total: sent.append(total - done),
    )

    manifest = pushed.version.manifest
    assert (manifest.format, manifest.fits, manifest.release) == (BRIDGE_FORMAT, "hw=orin", 2)
    assert manifest.metadata == {
        "version": "0.3.0",
        "python": "3.10",
        "arch": "aarch64",
        "glibc": "2.35",
    }
    assert 0 < sent[0] < LARGE_BYTES / 4, "the wheel that did not change lies there already"


async def test_a_release_under_the_name_of_a_model_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="published under the name edge-bridge alone"):
        await fleet.push_model(release(tmp_path, "0.4.0"), "detector", "0.4.0")


async def test_a_model_under_the_name_of_the_bridge_is_refused(
    fleet: Fleet, tmp_path: Path
) -> None:
    model = graphs.saved(graphs.good_model(), tmp_path / "m.onnx")
    with pytest.raises(RefusedError, match="edge-bridge is for releases of the bridge"):
        await fleet.push_model(model, BRIDGE_MODEL, "0.5.0")


async def test_a_release_with_a_damaged_wheel_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    path = release(tmp_path, "0.6.0")
    content = bytearray(path.read_bytes())
    content[-LARGE_BYTES // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RefusedError, match="not the wheel that its lock names"):
        await fleet.push_model(path, BRIDGE_MODEL, "0.6.0")
