"""What a model said of one image, as JSON for a ``std_msgs/msg/String`` (docs/adr/0017).

{"header": {"stamp": {"sec": 7, "nanosec": 5}, "frame_id": "camera"}, "digest": "sha256:...",
 "outputs": {"y": {"shape": [1, 2], "dtype": "float32", "values": [0.1, 0.9], ...}}, ...}
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from edge_bridge.sources.frame_wire import Answer
from edge_bridge.workers.protocol import Output

DEPTH = 10
"""Results that DDS keeps for a reader that is behind."""


class Stamp(Struct, frozen=True):
    """builtin_interfaces/msg/Time, as it came."""

    sec: int
    nanosec: int


class Header(Struct, frozen=True):
    """std_msgs/msg/Header of the image."""

    stamp: Stamp
    frame_id: str


class OutputSaid(Struct, frozen=True, kw_only=True):
    """values: in row order, None of an output that is too large to travel whole; NaN is null."""

    shape: tuple[int, ...]
    dtype: str
    minimum: float | None
    mean: float | None
    maximum: float | None
    values: list[float | int | bool] | None


class Result(Struct, frozen=True, kw_only=True):
    """header: the image's own. frame: the bridge's number of it. digest: of the model that answered.

    latency_s: in the worker. perception_s: from the frame's arrival at the bridge to the worker.
    confidence: 0..1, where the model says one. error: why the model failed on it, else empty.
    """

    header: Header
    frame: int
    digest: str
    latency_s: float
    perception_s: float
    confidence: float | None
    error: str
    outputs: dict[str, OutputSaid]


class ResultTopic:
    """A publisher of results, for one thread."""

    def __init__(self, node: Any, topic: str) -> None:  # noqa: ANN401 (rclpy has no types here)
        from std_msgs.msg import String

        self._message = String
        self._publisher = node.create_publisher(String, topic, DEPTH)

    def say(self, answer: Answer, header: Header) -> None:
        """Publish what the model said of the image with this header."""
        self._publisher.publish(self._message(data=result_json(answer, header)))


def result_json(answer: Answer, header: Header) -> str:
    """The message's text."""
    result = Result(
        header=header,
        frame=answer.frame,
        digest=answer.digest,
        latency_s=answer.latency_s,
        perception_s=answer.perception_s,
        confidence=answer.confidence,
        error=answer.error,
        outputs={name: said(output) for name, output in answer.outputs.items()},
    )
    return msgspec.json.encode(result).decode()


def said(output: Output) -> OutputSaid:
    """One output, to be read as JSON."""
    return OutputSaid(
        shape=output.shape,
        dtype=output.dtype,
        minimum=output.minimum,
        mean=output.mean,
        maximum=output.maximum,
        values=_values(output),
    )


def _values(output: Output) -> list[float | int | bool] | None:
    if output.content is None:
        return None
    values: list[float | int | bool] = np.frombuffer(output.content, output.dtype).tolist()
    return values
