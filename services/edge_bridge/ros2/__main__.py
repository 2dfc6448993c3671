"""The node: images of a topic go to the bridge that started it, and its results to another topic.

It ends with the bridge: when the socket closes, and by no signal, so that results on their way are said.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable

from edge_bridge.frames import Frame
from edge_bridge.ros2.arguments import NodeArguments
from edge_bridge.ros2.graph import joined
from edge_bridge.ros2.images import ImageTopic
from edge_bridge.ros2.results import Header, ResultTopic
from edge_bridge.sources.frame_client import FrameClient
from edge_bridge.sources.frame_wire import WireError
from fleetward.bus.process import exit_status

NAME = "fleetward_bridge"
MAX_AWAITED = 1024
"""Images whose results are still awaited; older ones were dropped long ago."""
SPIN_S = 1.0
"""How long the node may sleep when nobody wakes it."""


class Exchange:
    """The bridge's side of the node: a tag on every frame brings its image's header back."""

    def __init__(self, bridge: FrameClient) -> None:
        self._bridge = bridge
        self._tag = 0
        self._awaited: OrderedDict[int, Header] = OrderedDict()
        self.ended = threading.Event()

    def give(self, frame: Frame, header: Header) -> None:
        """Wait until the bridge has taken the frame; DDS keeps the newest image meanwhile."""
        self._tag += 1
        self._awaited[self._tag] = header
        if len(self._awaited) > MAX_AWAITED:
            self._awaited.popitem(last=False)
        try:
            self._bridge.send_frame(frame, self._tag)
        except OSError:
            self.ended.set()

    def say_results(self, results: ResultTopic, wake: Callable[[], None]) -> None:
        """Until the bridge is gone, in a thread of its own."""
        try:
            while True:
                answer = self._bridge.answer()
                header = self._awaited.pop(answer.tag, None)
                if header is not None:
                    results.say(answer, header)
        except (EOFError, OSError, WireError):
            return
        finally:
            self.ended.set()
            wake()


def run(arguments: NodeArguments) -> None:
    """Until the bridge closes the socket; raises NoRos2Error and Ros2LostError."""
    connected = socket.socket(fileno=arguments.socket_fd)
    with FrameClient(connected) as bridge, joined(NAME) as (node, executor):
        exchange = Exchange(bridge)
        images = ImageTopic(
            arguments.image_topic,
            exchange.give,
            height_px=arguments.height_px,
            width_px=arguments.width_px,
            silence_s=arguments.silence_s,
        )
        images.open(node)
        results = ResultTopic(node, arguments.result_topic)
        bell = node.create_guard_condition(lambda: None)
        saying = threading.Thread(
            target=exchange.say_results, args=(results, bell.trigger), name="results", daemon=True
        )
        saying.start()
        while not exchange.ended.is_set():
            executor.spin_once(timeout_sec=SPIN_S)
        connected.shutdown(socket.SHUT_RDWR)
        saying.join()


def main() -> int:
    """The process's exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    return exit_status("edge-bridge-ros2", lambda: run(NodeArguments.of(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
