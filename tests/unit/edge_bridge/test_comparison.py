"""How far two models' answers lie apart, counted over frames."""

from __future__ import annotations

import numpy as np
import pytest

from edge_bridge.workers.comparison import Comparison
from edge_bridge.workers.protocol import Inferred
from edge_bridge.workers.serving import SAMPLE_ELEMENTS, summarised

LIMIT_BYTES = 16_384


def answered(latency_s: float = 0.01, /, **outputs: object) -> Inferred:
    """As a worker answers when its outputs are compared."""
    arrays = {name: np.asarray(values) for name, values in outputs.items()}
    return Inferred(
        frame=1,
        latency_s=latency_s,
        perception_s=0.0,
        outputs=summarised(arrays, LIMIT_BYTES, sampled=True),
    )


def compared(*pairs: tuple[Inferred, Inferred]) -> Comparison:
    comparison = Comparison()
    for serving, shadow in pairs:
        comparison.count(serving, shadow)
    return comparison


def divergence(*pairs: tuple[Inferred, Inferred]) -> dict[str, float]:
    return compared(*pairs).divergence()


def test_the_same_answers_do_not_diverge() -> None:
    same = answered(boxes=np.linspace(0, 1, 30, dtype=np.float32), score=0.7)
    assert divergence((same, same)) == {"boxes": 0.0, "score": 0.0}


def test_the_mean_difference_counts_in_ranges_of_the_serving_model() -> None:
    apart = divergence(
        (answered(y=[0.0, 10.0]), answered(y=[1.0, 10.0])),
        (answered(y=[5.0, 20.0]), answered(y=[5.0, 23.0])),
    )
    assert apart == {"y": pytest.approx((1.0 + 0.0 + 0.0 + 3.0) / 4 / 20.0)}


def test_a_constant_output_counts_in_its_own_magnitude() -> None:
    assert divergence((answered(y=[-4.0]), answered(y=[-5.0]))) == {"y": pytest.approx(0.25)}
    assert divergence((answered(y=[0.0]), answered(y=[3.0]))) == {"y": pytest.approx(3.0)}


def test_outputs_of_other_shapes_or_names_cannot_be_compared() -> None:
    ours = answered(boxes=np.zeros((3, 4)), score=[1.0, 2.0], only_ours=1.0)
    theirs = answered(boxes=np.zeros((2, 4)), score=[1.0, 2.0], only_theirs=1.0)
    seen = compared((ours, theirs))
    assert seen.divergence() == {"score": 0.0}
    assert seen.incomparable() == ("boxes", "only_ours", "only_theirs")


def test_an_output_that_once_had_another_shape_is_left_out() -> None:
    fits, more = answered(y=[1.0, 2.0]), answered(y=[1.0, 2.0, 3.0])
    seen = compared((fits, fits), (fits, more), (fits, fits))
    assert (seen.divergence(), seen.incomparable()) == ({}, ("y",))


def test_text_cannot_be_compared() -> None:
    spoken = answered(said=np.array(["left"]))
    assert divergence((spoken, spoken)) == {}


def test_a_large_output_is_compared_by_a_sample_of_its_elements() -> None:
    large = np.random.default_rng(1).random((3, 200, 200), dtype=np.float32)
    spread = float(large.reshape(-1)[:: -(-large.size // SAMPLE_ELEMENTS)].max())
    shifted = divergence((answered(map=large), answered(map=large + np.float32(0.5))))
    assert shifted["map"] == pytest.approx(0.5 / spread, rel=0.01)
    content = answered(map=large).outputs["map"]
    assert content.content is None
    assert content.sample is not None
    assert len(content.sample) <= 4 * SAMPLE_ELEMENTS


def test_nothing_is_sampled_unless_it_is_compared() -> None:
    large = {"map": np.zeros((200, 200), np.float32)}
    assert summarised(large, LIMIT_BYTES)["map"].sample is None


def test_however_many_outputs_there_are_their_samples_fit_one_message() -> None:
    many = {f"map{number}": np.zeros(10_000) for number in range(40)}
    sampled = [len(each.sample or b"") for each in summarised(many, LIMIT_BYTES, True).values()]
    assert 0 < sum(sampled) <= LIMIT_BYTES


def test_what_is_not_a_number_in_both_is_the_same_and_in_one_is_not() -> None:
    ours = answered(y=[np.nan, 1.0, 3.0])
    assert divergence((ours, ours)) == {"y": 0.0}
    assert np.isnan(divergence((ours, answered(y=[2.0, 1.0, 3.0])))["y"])


def test_latencies_and_failures_are_counted() -> None:
    comparison = Comparison()
    comparison.count(answered(0.010, y=1.0), answered(0.030, y=1.0))
    comparison.count(answered(0.020, y=1.0), answered(0.050, y=1.0))
    comparison.fail("no such index")
    assert comparison.latency_ms_mean == pytest.approx(40.0)
    assert comparison.serving_latency_ms_mean == pytest.approx(15.0)
    assert (comparison.frames, comparison.errors) == (2, 1)
    assert comparison.error_share == pytest.approx(1 / 3)
    assert Comparison().error_share == 0.0
