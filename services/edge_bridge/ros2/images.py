"""A subscription to an image topic, by the side of the node's thread: pictures become frames there.

Cameras' nodes may come, go and come back: DDS finds them, and a silence is logged with what is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from edge_bridge.frames import Frame
from edge_bridge.ros2.results import Header, Stamp
from edge_bridge.sources.ros_image import frame_of_image
from fleetward.bus.logs import log

_logger = logging.getLogger(__name__)

COMPRESSED = "compressed"
"""The last part of the name of a topic of CompressedImage, by image_transport's rule."""


class ImageTopic:
    """RGB frames of that size, given to ``arrived`` with the header of their image."""

    def __init__(
        self,
        topic: str,
        arrived: Callable[[Frame, Header], None],
        *,
        height_px: int,
        width_px: int,
        silence_s: float,
    ) -> None:
        self._topic = topic
        self._arrived = arrived
        self._height_px, self._width_px = height_px, width_px
        self._silence_s = silence_s
        self._refused = ""
        self._heard = self._is_silent = False

    def open(self, node: Any) -> None:  # noqa: ANN401 (rclpy has no types here)
        """Subscribe. Best effort, so that cameras of either reliability are heard, and the newest alone."""
        from rclpy.clock import Clock, ClockType
        from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CompressedImage, Image

        is_compressed = self._topic.rpartition("/")[2] == COMPRESSED
        newest = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT
        )
        kind = CompressedImage if is_compressed else Image
        node.create_subscription(kind, self._topic, self._take, newest)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(self._silence_s, lambda: self._listen(node), clock=steady)

    def _take(self, message: Any) -> None:  # noqa: ANN401 (a class that ROS 2 generates)
        self._heard = True
        stamp = message.header.stamp
        try:
            frame = frame_of_image(message, self._height_px, self._width_px)
        except Exception as problem:  # noqa: BLE001 (whatever Pillow finds in a foreign picture)
            self._tell_refused(f"{type(problem).__name__}: {problem}")
            return
        self._arrived(frame, Header(Stamp(stamp.sec, stamp.nanosec), message.header.frame_id))

    def _tell_refused(self, reason: str) -> None:
        """Once for each reason in a row: cameras repeat themselves many times a second."""
        if reason != self._refused:
            self._refused = reason
            log(
                _logger,
                "ros2.image_refused",
                level=logging.WARNING,
                topic=self._topic,
                reason=reason,
            )

    def _listen(self, node: Any) -> None:  # noqa: ANN401 (rclpy has no types here)
        """Every ``silence_s``: say once that nothing comes, and what offers the topic now."""
        was_silent, self._is_silent = self._is_silent, not self._heard
        self._heard = False
        if self._is_silent and not was_silent:
            offered = node.get_publishers_info_by_topic(node.resolve_topic_name(self._topic))
            types = ", ".join(sorted({each.topic_type for each in offered}))
            log(
                _logger,
                "ros2.silent",
                level=logging.WARNING,
                topic=self._topic,
                publishers=len(offered),
                types=types,
            )
