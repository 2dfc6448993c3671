"""The channels that viewers see, and who subscribes to which: Foxglove's SDK does the rest."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import foxglove
from foxglove.channels import CompressedImageChannel, LogChannel
from foxglove.messages import CompressedImage, Log, LogLevel, Timestamp
from foxglove.websocket import ChannelView, Client, ServerListener
from PIL import Image

from edge_bridge.errors import BridgeError
from edge_bridge.foxglove.results import RESULT_SCHEMA, result_json
from edge_bridge.foxglove.samples import SIGNALS_SCHEMA, latest
from edge_bridge.foxglove.wire import (
    FRAMES,
    LOG,
    RESULTS,
    SIGNALS,
    Picture,
    Result,
    Samples,
    Shown,
    Told,
    Watched,
)

BACKLOG_MESSAGES = 32
"""What waits for one viewer that does not read; then the oldest is dropped, for that viewer alone."""
JPEG_QUALITY = 80
FRAME_ID = "camera"
_NS_PER_S = 1_000_000_000


class PortTakenError(BridgeError):
    """Nobody can listen where viewers are to come."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(
            f"viewers cannot be served on {host}:{port}: {reason}. End what listens there, or set "
            "FLEETWARD_FOXGLOVE to another port."
        )


class Viewers(ServerListener):
    """``tell`` hears which topics are watched, whenever that changes. The SDK calls from its own threads."""

    def __init__(self, tell: Callable[[Watched], None]) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._subscribed: set[tuple[int, str]] = set()

    def on_subscribe(self, client: Client, channel: ChannelView) -> None:
        with self._lock:
            self._subscribed.add((client.id, channel.topic))
            self._say()

    def on_unsubscribe(self, client: Client, channel: ChannelView) -> None:
        """Also when the viewer is gone."""
        with self._lock:
            self._subscribed.discard((client.id, channel.topic))
            self._say()

    def _say(self) -> None:
        self._tell(Watched(tuple(sorted({topic for _, topic in self._subscribed}))))


class Channels:
    """One for each kind of thing that the bridge shows."""

    def __init__(self, context: foxglove.Context) -> None:
        self._frames = CompressedImageChannel(FRAMES, context=context)
        self._log = LogChannel(LOG, context=context)
        self._results = _json_channel(RESULTS, "fleetward.Result", RESULT_SCHEMA, context)
        self._signals = _json_channel(SIGNALS, "fleetward.Signals", SIGNALS_SCHEMA, context)

    def show(self, shown: Shown) -> None:
        """Give it to whoever watches."""
        match shown:
            case Picture():
                self._frames.log(_compressed(shown), log_time=shown.at_ns)
            case Result():
                self._results.log(result_json(shown), log_time=shown.at_ns)
            case Samples(frame=frame):
                at_ns, content = latest(frame)
                self._signals.log(content, log_time=at_ns)
            case Told():
                self._log.log(_line(shown), log_time=shown.at_ns)


@contextmanager
def served(robot_id: str, host: str, port: int, viewers: Viewers) -> Iterator[tuple[Channels, int]]:
    """The channels and the port where viewers find them; raises PortTakenError."""
    context = foxglove.Context()
    channels = Channels(context)
    try:
        server = foxglove.start_server(
            name=f"Fleetward: {robot_id}",
            host=host,
            port=port,
            server_listener=viewers,
            context=context,
            message_backlog_size=BACKLOG_MESSAGES,
        )
    except Exception as error:
        raise PortTakenError(host, port, str(error)) from error
    try:
        yield channels, server.port
    finally:
        server.stop()


def _json_channel(
    topic: str, name: str, schema: dict[str, Any], context: foxglove.Context
) -> foxglove.Channel:
    described = foxglove.Schema(name=name, encoding="jsonschema", data=json.dumps(schema).encode())
    return foxglove.Channel(topic, schema=described, message_encoding="json", context=context)


def _compressed(shown: Picture) -> CompressedImage:
    written = io.BytesIO()
    image = Image.frombytes("RGB", (shown.width, shown.height), shown.content)
    image.save(written, "JPEG", quality=JPEG_QUALITY)
    return CompressedImage(
        timestamp=_stamp(shown.at_ns), frame_id=FRAME_ID, data=written.getvalue(), format="jpeg"
    )


def _line(told: Told) -> Log:
    return Log(
        timestamp=_stamp(told.at_ns),
        level=LogLevel.Warning if told.is_bad else LogLevel.Info,
        name=told.name,
        message=f"{told.name} {told.text}",
    )


def _stamp(at_ns: int) -> Timestamp:
    return Timestamp(at_ns // _NS_PER_S, at_ns % _NS_PER_S)
