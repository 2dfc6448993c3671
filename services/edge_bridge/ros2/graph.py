"""A node in the ROS 2 graph that rclpy finds; the domain and who is heard are what ROS 2's variables say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_bridge.errors import BridgeError

DISTRIBUTIONS = Path("/opt/ros")


class NoRos2Error(BridgeError):
    """ROS 2 was asked for where its Python cannot be imported: what is missing, and what to source."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"images of ROS 2 need its rclpy, sensor_msgs and std_msgs for Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}: {reason}. {_what_to_source()} in the shell that "
            "starts the bridge; under systemd write the PYTHONPATH, LD_LIBRARY_PATH and AMENT_PREFIX_PATH "
            "that it sets into the bridge's environment file."
        )


class Ros2LostError(BridgeError):
    """rcl or DDS gave up; it says why."""


@contextmanager
def joined(name: str) -> Iterator[tuple[Any, Any]]:
    """A node and what turns it, gone from the graph afterwards; raises NoRos2Error and Ros2LostError."""
    try:
        import rclpy
        import sensor_msgs.msg
        import std_msgs.msg
        from rclpy.context import Context
        from rclpy.executors import SingleThreadedExecutor
    except ImportError as error:
        raise NoRos2Error(str(error)) from error
    del sensor_msgs, std_msgs

    context = Context()
    try:
        context.init(args=[], initialize_logging=False)  # rcl would write its log under HOME
        node = rclpy.create_node(
            name, context=context, enable_rosout=False, start_parameter_services=False
        )
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            yield node, executor
        finally:
            executor.shutdown()
            node.destroy_node()
    except RuntimeError as error:  # what rcl raises
        raise Ros2LostError(f"ROS 2 failed: {error}") from error
    finally:
        context.try_shutdown()


def _what_to_source() -> str:
    found = sorted(DISTRIBUTIONS.glob("*/setup.bash"))
    if not found:
        return f"Install ROS 2 and source {DISTRIBUTIONS}/<distribution>/setup.bash"
    return "Source " + " or ".join(map(str, found))
