"""Frames of a ROS 2 image topic, and the model's results on another topic, by a process of their own.

A node in the bridge's process would hold it up while DDS unpacks an image, and take it along when it
crashes (docs/adr/0017). This one is started again, and speaks the frame socket's language.
"""

from __future__ import annotations

import re
from importlib.util import find_spec

from msgspec import Struct
from msgspec.structs import replace

from edge_bridge.companion import Companion
from edge_bridge.frames import FrameSink
from edge_bridge.ros2.arguments import NodeArguments
from edge_bridge.ros2.graph import NoRos2Error
from edge_bridge.sources.frame_connection import FrameConnection
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.environment import SettingsError

NEEDED = ("rclpy", "sensor_msgs", "std_msgs")
_TOPIC = re.compile(r"(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


class Ros2Topics(Struct, frozen=True, kw_only=True):
    """Where a camera's node publishes, and where the bridge's node does."""

    image_topic: str
    result_topic: str = "fleetward/inference"
    silence_s: float = 5.0
    """After so long without an image the log says what is there."""


class Ros2Source:
    """A source, and a sink for what the model says: give ``answer`` to the bridge."""

    def __init__(self, topics: Ros2Topics, *, height_px: int, width_px: int) -> None:
        """RGB frames of that size. Raises NoRos2Error, and SettingsError for what is no topic."""
        missing = [name for name in NEEDED if find_spec(name) is None]
        if missing:
            raise NoRos2Error(f"there is no {', '.join(missing)}")
        for topic in (topics.image_topic, topics.result_topic):
            if _TOPIC.fullmatch(topic) is None:
                raise SettingsError(
                    f"{topic!r} is no topic of ROS 2: letters, digits and _ between slashes, as "
                    "/camera/image_raw. Correct it."
                )
        self._arguments = NodeArguments(
            socket_fd=-1,
            image_topic=topics.image_topic,
            result_topic=topics.result_topic,
            height_px=height_px,
            width_px=width_px,
            silence_s=topics.silence_s,
        )
        self._connection: FrameConnection | None = None

    async def run(self, sink: FrameSink) -> None:
        """Give frames to ``sink`` until cancelled; a node that ends is started again."""
        await Companion(
            module="edge_bridge.ros2",
            argv=lambda fd: replace(self._arguments, socket_fd=fd).argv(),
            connect=lambda: self._connected(sink),
            gone=self._gone,
            lost_event="ros2.lost",
        ).run()

    def answer(self, done: InferenceDone) -> None:
        """Have a result published, if its frame was an image; on the event loop, without waiting."""
        if self._connection is not None:
            self._connection.answer(done)

    def _connected(self, sink: FrameSink) -> FrameConnection:
        self._connection = FrameConnection(sink, self._frame_bytes)
        return self._connection

    def _gone(self) -> None:
        self._connection = None

    @property
    def _frame_bytes(self) -> int:
        return 3 * self._arguments.height_px * self._arguments.width_px
