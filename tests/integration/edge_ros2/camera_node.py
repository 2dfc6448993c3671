"""A camera's node, in a process of its own: python -m tests.integration.edge_ros2.camera_node TOPIC.

It ends with its standard input, of which each line is one picture to publish; each line of standard output is one result of the
bridge, or what the node sees of the bridge.
"""

from __future__ import annotations

import io
import json
import signal
import sys
from typing import Any

import rclpy
from PIL import Image as Pillow
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

SIDE_PX = 16  # not what the bridge serves: it resizes


def raw_image(grey: int, encoding: str) -> Any:  # noqa: ANN401 (a class that ROS 2 generates)
    image = Image(height=SIDE_PX, width=SIDE_PX, encoding=encoding, step=3 * SIDE_PX)
    image.data.frombytes(bytes([grey]) * (3 * SIDE_PX * SIDE_PX))
    return image


def compressed_image(grey: int) -> Any:  # noqa: ANN401 (a class that ROS 2 generates)
    written = io.BytesIO()
    Pillow.new("RGB", (SIDE_PX, SIDE_PX), (grey, grey, grey)).save(written, "PNG")
    image = CompressedImage(format="rgb8; png compressed rgb8")
    image.data.frombytes(written.getvalue())
    return image


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    topic, reliability = sys.argv[1:]
    is_compressed = topic.endswith("/compressed")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("camera")
    pictures = node.create_publisher(
        CompressedImage if is_compressed else Image,
        topic,
        QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability]),
    )
    node.create_subscription(String, "fleetward/inference", lambda said: say(said.data), 10)

    def until_bridges(count: int) -> None:
        """Turn until so many bridges listen and speak."""
        while not (
            pictures.get_subscription_count()
            == node.count_publishers("fleetward/inference")
            == count
        ):
            rclpy.spin_once(node, timeout_sec=0.02)

    for line in sys.stdin:
        order = json.loads(line)
        if "bridges" in order:
            until_bridges(order["bridges"])
            say(json.dumps(order))
            continue
        picture = (
            compressed_image(order["grey"])
            if is_compressed
            else raw_image(order["grey"], order["encoding"])
        )
        picture.header.stamp.sec, picture.header.stamp.nanosec = order["stamp"]
        picture.header.frame_id = order["frame_id"]
        pictures.publish(picture)
        rclpy.spin_once(node, timeout_sec=order["wait_s"])
    rclpy.shutdown()


if __name__ == "__main__":
    main()
