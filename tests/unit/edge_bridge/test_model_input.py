"""A frame becomes the tensor that the model's metadata asks for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edge_bridge.backends.confidence import CONFIDENCE_KEY, Confidence, confidence_of
from edge_bridge.backends.model_input import DEFAULT_SIDE_PX, INPUT_KEY, ImageInput, image_input
from edge_bridge.errors import LoadFailedError
from examples.demo import vision

RGB = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_description_means_here_what_it_means_to_the_team_that_wrote_it(
    channels: str, layout: str
) -> None:
    told = vision.ImageInput(
        name="x",
        height_px=4,
        width_px=6,
        channels="bgr" if channels == "bgr" else "rgb",
        layout="nhwc" if layout == "nhwc" else "nchw",
        scale=1 / 255,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    metadata = vision.described(told, vision.Confidence(output="y", kind="max"), "MIT")
    heard = image_input(metadata, "x", [1, 3, None, None])
    np.testing.assert_allclose(heard.tensor(RGB), told.tensor(RGB), rtol=1e-5, atol=1e-6)
    assert heard.tensor(RGB).dtype == np.float32
    assert heard.tensor(RGB).flags.c_contiguous


@pytest.mark.parametrize("kind", ["max", "mean_above"])
def test_confidence_means_here_what_it_means_to_the_team_that_wrote_it(kind: str) -> None:
    scores = np.array([[0.1, 0.4], [0.8, 0.0]], np.float32)
    asked = vision.Confidence(
        output="y", kind="max" if kind == "max" else "mean_above", threshold=0.3
    )
    heard = confidence_of({CONFIDENCE_KEY: json.dumps(_fields(asked))}, ["y"])
    assert heard is not None
    assert heard.of(scores) == pytest.approx(asked.of(scores))
    assert heard.of(scores * 0) == asked.of(scores * 0) == 0


def _fields(asked: vision.Confidence) -> dict[str, object]:
    return {"output": asked.output, "kind": asked.kind, "threshold": asked.threshold}


@pytest.mark.parametrize(
    ("shape", "layout", "size", "channels"),
    [
        ([1, 3, 32, 48], "nchw", (32, 48), "rgb"),
        ([1, 32, 48, 3], "nhwc", (32, 48), "rgb"),
        (["n", 3, "h", "w"], "nchw", (DEFAULT_SIDE_PX, DEFAULT_SIDE_PX), "rgb"),
        ([1, 1, 28, 28], "nchw", (28, 28), "grey"),
    ],
)
def test_model_without_description_gets_rgb_scaled_to_its_declared_shape(
    shape: list[int | str], layout: str, size: tuple[int, int], channels: str
) -> None:
    suggested = image_input({}, "x", shape)
    assert (suggested.layout, suggested.channels) == (layout, channels)
    assert (suggested.height_px, suggested.width_px) == size
    white = suggested.tensor(np.full((5, 5, 3), 255, np.uint8))
    assert white.shape[0] == 1
    assert white.min() == white.max() == pytest.approx(1.0)


def test_frame_of_another_size_is_resized_and_one_of_another_kind_is_refused() -> None:
    wanted = ImageInput(name="x", height_px=2, width_px=3)
    assert wanted.tensor(RGB).shape == (1, 3, 2, 3)
    for refused in (RGB.astype(np.float32), RGB[:, :, 0], RGB[:, :, :2]):
        with pytest.raises(ValueError, match="RGB picture"):
            wanted.tensor(refused)


@pytest.mark.parametrize("written", ["", "[]", '{"name": "x"}', '{"name": 3}'])
def test_description_that_cannot_be_read_says_which_and_what_to_do(written: str) -> None:
    with pytest.raises(LoadFailedError, match=r"fleetward\.input.*push the model again"):
        image_input({INPUT_KEY: written}, "x", [1, 3, 8, 8])
    with pytest.raises(LoadFailedError, match=r"fleetward\.confidence.*push the model again"):
        confidence_of({CONFIDENCE_KEY: written}, ["y"])


def test_confidence_of_an_output_the_model_lacks_is_refused() -> None:
    written = '{"output": "z", "kind": "max"}'
    with pytest.raises(LoadFailedError, match="names output 'z', the model has y"):
        confidence_of({CONFIDENCE_KEY: written}, ["y"])


@pytest.mark.parametrize("kind", ["max", "mean_above", "softmax_max"])
def test_scores_that_are_not_finite_never_pass_for_confidence(kind: str) -> None:
    confidence = confidence_of({CONFIDENCE_KEY: f'{{"output": "y", "kind": "{kind}"}}'}, ["y"])
    assert confidence is not None
    with pytest.raises(ValueError, match="not finite"):
        confidence.of(np.array([0.5, np.nan], np.float32))


def test_softmax_max_is_the_probability_of_the_likeliest_class() -> None:
    confidence = Confidence(output="y", kind="softmax_max")
    scores = np.array([1.0, 2.0, 3.0], np.float32)
    assert confidence.of(scores) == pytest.approx(float(np.exp(3) / np.exp([1, 2, 3]).sum()))
