"""What the demo promises of its three releases, checked on the real files in ONNX Runtime."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort  # type: ignore[import-untyped]
import pytest
from PIL import Image

from examples.demo import releases, vision
from fleetward.contracts.errors import FleetwardError


class Detector:
    """One release, fed as its own metadata says."""

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.metadata: dict[str, str] = self.session.get_modelmeta().custom_metadata_map
        self.image = vision.image_input(self.metadata)

    def mask(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        feed = {self.image.name: self.image.tensor(frame)}
        mask: npt.NDArray[np.float32] = self.session.run([releases.OUTPUT_NAME], feed)[0]
        return mask

    def confidence(self, frame: npt.NDArray[np.uint8]) -> float:
        return vision.confidence(self.metadata).of(self.mask(frame))

    def latency_ms(self, frame: npt.NDArray[np.uint8], runs: int = 5) -> float:
        """The quickest of several runs: the machine's noise only ever adds."""
        self.mask(frame)
        return min(self._run_ms(frame) for _ in range(runs))

    def _run_ms(self, frame: npt.NDArray[np.uint8]) -> float:
        began_s = time.perf_counter()
        self.mask(frame)
        return (time.perf_counter() - began_s) * 1000


@pytest.fixture(scope="module")
def detectors(released: Path) -> dict[str, Detector]:
    return {name: Detector(released / f"{name}.onnx") for name in releases.VERSIONS}


@pytest.fixture(scope="module")
def frames(released: Path) -> list[npt.NDArray[np.uint8]]:
    return [np.asarray(Image.open(path)) for path in sorted(released.glob("frames/*.png"))]


def test_every_frame_is_a_picture_of_the_size_the_models_want(
    frames: list[npt.NDArray[np.uint8]],
) -> None:
    assert len(frames) == len(releases.FRAME_WINDOWS_PX)
    wanted = (releases.FRAME_HEIGHT_PX, releases.FRAME_WIDTH_PX, 3)
    assert {frame.shape for frame in frames} == {wanted}
    assert all(frame.std() > 10 for frame in frames), "a frame is blank"


def test_no_two_releases_and_no_two_frames_are_the_same_file(released: Path) -> None:
    files = releases.read_provenance(released).files
    assert len({origin.sha256 for origin in files}) == len(files) == 3 + 12


@pytest.mark.parametrize("name", releases.VERSIONS)
def test_every_release_keeps_the_same_contract(name: str, detectors: dict[str, Detector]) -> None:
    session = detectors[name].session
    (read,), (written,) = session.get_inputs(), session.get_outputs()
    assert (read.name, read.type, len(read.shape), read.shape[1]) == ("x", "tensor(float)", 4, 3)
    assert (written.name, written.type) == ("sigmoid_0.tmp_0", "tensor(float)")


@pytest.mark.parametrize("name", releases.VERSIONS)
def test_a_mask_holds_one_probability_per_pixel(
    name: str, detectors: dict[str, Detector], frames: list[npt.NDArray[np.uint8]]
) -> None:
    mask = detectors[name].mask(frames[0])
    assert mask.shape == (1, 1, releases.FRAME_HEIGHT_PX, releases.FRAME_WIDTH_PX)
    assert mask.min() >= 0
    assert mask.max() <= 1


@pytest.mark.parametrize("name", releases.VERSIONS)
def test_every_release_names_its_licence(name: str, detectors: dict[str, Detector]) -> None:
    assert detectors[name].metadata[vision.LICENSE_KEY] == "Apache-2.0"


@pytest.mark.parametrize("name", ["v1", "v2"])
def test_a_good_release_is_sure_of_every_frame(
    name: str, detectors: dict[str, Detector], frames: list[npt.NDArray[np.uint8]]
) -> None:
    assert min(detectors[name].confidence(frame) for frame in frames) > 0.9


def test_v3_is_less_sure_of_every_frame_than_v2_is_of_any(
    detectors: dict[str, Detector], frames: list[npt.NDArray[np.uint8]]
) -> None:
    before = min(detectors["v2"].confidence(frame) for frame in frames)
    after = max(detectors["v3"].confidence(frame) for frame in frames)
    assert after < before - 0.05


def test_v3_is_many_times_slower_than_v2(
    detectors: dict[str, Detector], frames: list[npt.NDArray[np.uint8]]
) -> None:
    ratio = detectors["v3"].latency_ms(frames[0]) / detectors["v2"].latency_ms(frames[0])
    assert ratio > 8


def test_v3_looks_like_an_improvement_to_whoever_only_weighs_it(released: Path) -> None:
    v2, v3 = released / "v2.onnx", released / "v3.onnx"
    assert v3.stat().st_size < v2.stat().st_size / 3


def test_a_changed_file_is_noticed_and_made_again(released: Path, tmp_path: Path) -> None:
    copy = tmp_path / "releases"
    assert releases.materialise(copy)
    assert not releases.materialise(copy)
    (copy / "v3.onnx").write_bytes(b"half a mod")
    assert releases.materialise(copy)
    assert (copy / "v3.onnx").read_bytes() == (released / "v3.onnx").read_bytes()


def test_a_frame_left_by_an_older_recipe_goes_away(tmp_path: Path) -> None:
    stale = tmp_path / "frames" / "page-99.png"
    stale.parent.mkdir()
    stale.write_bytes(b"")
    releases.materialise(tmp_path)
    assert not stale.exists()


def test_a_wheel_that_cannot_be_had_is_named_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))
    with pytest.raises(FleetwardError, match=r"rapidocr-onnxruntime==1\.1\.30 .*run this again"):
        releases.materialise(tmp_path / "releases")
    assert list((tmp_path / "releases").iterdir()) == []
