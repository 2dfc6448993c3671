"""Pictures as ROS 2 writes them: viewers and ``mcap_source`` know them, and their bytes stay as they are.

CDR, little-endian, of ``sensor_msgs/msg/Image`` (https://docs.ros.org/en/jazzy/p/sensor_msgs).
"""

from __future__ import annotations

import struct

from typing_extensions import Buffer

from edge_bridge.recorder.file import Recorded

IMAGE = "sensor_msgs/msg/Image"
_ENCODINGS = {3: "rgb8", 4: "rgba8"}
"""By the number of colours."""
_SEPARATOR = "=" * 80
_IMAGE_SCHEMA = f"""std_msgs/Header header
uint32 height
uint32 width
string encoding
uint8 is_bigendian
uint32 step
uint8[] data
{_SEPARATOR}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
{_SEPARATOR}
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
""".encode()
_CDR = b"\x00\x01\x00\x00"
_FRAME_ID = "camera"
_NS_PER_S = 1_000_000_000


def picture(
    topic: str, content: Buffer, shape: tuple[int, ...], dtype: str, at_ns: int
) -> Recorded | None:
    """A copy of a frame as an Image; None: it is no picture of 8-bit grey, RGB or RGBA."""
    colours = shape[2] if len(shape) == 3 else 1
    encoding = "mono8" if colours == 1 else _ENCODINGS.get(colours)
    if dtype != "uint8" or len(shape) not in (2, 3) or encoding is None:
        return None
    height, width = shape[:2]
    # Only what nobody can change is joined beside the loop: of a view, Python's lock is held all the while.
    plain = content if isinstance(content, bytes) else memoryview(content).cast("B")
    head = _head(at_ns, height, width, encoding, width * colours, len(plain))
    return Recorded(
        topic=topic,
        at_ns=at_ns,
        content=b"".join((head, plain)),
        encoding="cdr",
        schema_name=IMAGE,
        schema_encoding="ros2msg",
        schema=_IMAGE_SCHEMA,
    )


def _head(at_ns: int, height: int, width: int, encoding: str, step: int, data_bytes: int) -> bytes:
    """All of the message but its data."""
    fields = struct.pack("<iI", at_ns // _NS_PER_S, at_ns % _NS_PER_S) + _text(_FRAME_ID)
    fields = _aligned(fields) + struct.pack("<II", height, width) + _text(encoding)
    fields = _aligned(fields + b"\x00") + struct.pack("<II", step, data_bytes)
    return _CDR + fields


def _text(text: str) -> bytes:
    content = text.encode() + b"\x00"
    return struct.pack("<I", len(content)) + content


def _aligned(fields: bytes) -> bytes:
    """The next field has four bytes, and stands at a multiple of them."""
    return fields + bytes(-len(fields) % 4)
