"""A model's own description of its picture and of its confidence."""

from __future__ import annotations

import numpy as np
import pytest

from examples.demo import vision

IMAGE = vision.ImageInput(
    name="x",
    height_px=2,
    width_px=1,
    channels="bgr",
    layout="nchw",
    scale=0.5,
    mean=(1.0, 2.0, 3.0),
    std=(1.0, 2.0, 4.0),
)
FRAME = np.array([[[10, 20, 30]], [[40, 50, 60]]], np.uint8)


def test_a_description_reads_back_as_it_was_written() -> None:
    rule = vision.Confidence(output="y", kind="mean_above", threshold=0.3)
    metadata = vision.described(IMAGE, rule, "Apache-2.0")
    assert vision.image_input(metadata) == IMAGE
    assert vision.confidence(metadata) == rule
    assert metadata["license"] == "Apache-2.0"


def test_channels_are_put_in_the_models_order_before_they_are_normalised() -> None:
    tensor = IMAGE.tensor(FRAME)
    assert tensor.shape == (1, 3, 2, 1)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, :, 0, 0], [14.0, 4.0, 0.5])  # blue, green, red


def test_a_channels_last_model_gets_channels_last() -> None:
    last = vision.ImageInput(
        name="x",
        height_px=2,
        width_px=1,
        channels="rgb",
        layout="nhwc",
        scale=1.0,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    np.testing.assert_array_equal(last.tensor(FRAME), FRAME[np.newaxis].astype(np.float32))


@pytest.mark.parametrize("frame", [FRAME[:1], FRAME[..., :2], FRAME.astype(np.int16)])
def test_a_frame_of_another_shape_or_type_is_refused(frame: np.ndarray) -> None:
    with pytest.raises(vision.FrameShapeError, match=r"wants uint8\[2, 1, 3\]: resize"):
        IMAGE.tensor(frame)


@pytest.mark.parametrize(
    ("kind", "expected"), [("max", 0.9), ("mean_above", 0.7)], ids=["max", "mean_above"]
)
def test_confidence_is_reduced_as_the_model_says(kind: str, expected: float) -> None:
    rule = vision.confidence(
        {vision.CONFIDENCE_KEY: f'{{"output":"y","kind":"{kind}","threshold":0.3}}'}
    )
    assert rule.of(np.array([[0.1, 0.3], [0.5, 0.9]], np.float32)) == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["max", "mean_above"])
def test_nothing_found_is_no_confidence(kind: str) -> None:
    rule = vision.confidence(
        {vision.CONFIDENCE_KEY: f'{{"output":"y","kind":"{kind}","threshold":0.3}}'}
    )
    assert rule.of(np.zeros((1, 1, 2, 2), np.float32)) == 0.0


@pytest.mark.parametrize(
    ("metadata", "cause"),
    [
        ({}, "is missing"),
        ({vision.INPUT_KEY: "{"}, "cannot be read"),
        ({vision.INPUT_KEY: "{}"}, "cannot be read"),
    ],
    ids=["absent", "not JSON", "incomplete"],
)
def test_a_model_without_a_readable_description_is_refused(
    metadata: dict[str, str], cause: str
) -> None:
    with pytest.raises(vision.ModelNotDescribedError, match=f"fleetward.input.*{cause}"):
        vision.image_input(metadata)
