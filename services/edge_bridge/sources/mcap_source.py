"""Frames of a recorded robot: an MCAP file's image topic, played back at the pace it was recorded.

Images are ROS 2's, as ``ros_image`` reads them. Needs the extra ``edge-bridge[mcap]``. A file that was
cut off is played as far as it goes.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from edge_bridge.errors import BridgeError
from edge_bridge.sources.played import PlayedSource, SourceLostError, Timed
from edge_bridge.sources.ros_image import frame_of_image

IMAGES = frozenset({"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"})
_NS_PER_S = 1e9


class NoRecordingError(BridgeError):
    """A recording was asked for where it cannot be read: what is missing, and what installs it."""


def mcap_source(
    recording: Path, *, height_px: int, width_px: int, topic: str | None = None
) -> PlayedSource:
    """A source of RGB frames of that size; topic: None takes the first that holds images.

    Raises NoRecordingError without the extra's packages.
    """
    try:
        import mcap.reader  # the extra "mcap"
        import mcap_ros2.decoder
    except ImportError as error:
        raise NoRecordingError(
            f"frames from {recording} need MCAP's packages: pip install 'edge-bridge[mcap]'"
        ) from error
    del mcap, mcap_ros2
    return PlayedSource(str(recording), partial(_frames, recording, topic, height_px, width_px))


def _frames(
    recording: Path, topic: str | None, height_px: int, width_px: int
) -> Generator[Timed, None, None]:
    from mcap.exceptions import McapError

    began_ns, shown = 0, 0
    try:
        for logged_ns, message in _messages(recording, topic):
            frame = frame_of_image(message, height_px, width_px)
            began_ns = began_ns if shown else logged_ns
            yield Timed(frame, (logged_ns - began_ns) / _NS_PER_S)
            shown += 1
    except (McapError, OSError, ValueError) as error:
        if not shown:
            raise SourceLostError(f"{recording} cannot be read: {error}") from error
        return  # cut off here: what came before was played
    if not shown:
        on = f"on {topic}" if topic else "of the types " + ", ".join(sorted(IMAGES))
        raise SourceLostError(f"{recording} holds no images {on}")


def _messages(
    recording: Path, topic: str | None
) -> Iterator[tuple[int, Any]]:  # Any: a class made of the schema in the file
    """When each image was logged, and the image."""
    from mcap.reader import NonSeekingReader
    from mcap_ros2.decoder import DecoderFactory

    chosen = topic
    with recording.open("rb") as stream:
        reader = NonSeekingReader(stream, decoder_factories=[DecoderFactory()])
        for schema, channel, message, decoded in reader.iter_decoded_messages(
            topics=[topic] if topic else None, log_time_order=False
        ):
            if schema is None or schema.name not in IMAGES:
                continue
            chosen = chosen or channel.topic
            if channel.topic == chosen:
                yield message.log_time, decoded
