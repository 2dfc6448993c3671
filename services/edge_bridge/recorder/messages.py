"""What the recorder keeps, as messages that viewers of MCAP files know: JSON, with schemas of Foxglove's
for images (https://docs.foxglove.dev/docs/sdk/schemas).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Collection
from typing import Any

import msgspec
from typing_extensions import Buffer

from edge_bridge.recorder import ros_messages
from edge_bridge.recorder.file import Recorded
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.contracts.event import Event
from fleetward.contracts.telemetry import TelemetryFrame

INFERENCE, FACTS, SIGNALS, FRAMES = "/inference", "/facts", "/signals", "/frames"
JPEG_QUALITY = 80
_NS_PER_S, _NS_PER_US = 1_000_000_000, 1_000
_JSON_SCHEMA = "jsonschema"
_ANY_OBJECT = b'{"type":"object"}'
_BASE64 = {"type": "string", "contentEncoding": "base64"}
_INTEGER, _TEXT = {"type": "integer"}, {"type": "string"}


def _schema_of(**properties: object) -> bytes:
    stamp = {"type": "object", "properties": {"sec": _INTEGER, "nsec": _INTEGER}}
    every = {"timestamp": stamp, "frame_id": _TEXT, **properties}
    return msgspec.json.encode({"type": "object", "properties": every})


_COMPRESSED = _schema_of(data=_BASE64, format=_TEXT)
_RAW = _schema_of(data=_BASE64, encoding=_TEXT, width=_INTEGER, height=_INTEGER, step=_INTEGER)


def inference(done: InferenceDone) -> Recorded:
    """One frame's result, at the instant the frame was captured."""
    return json_message(INFERENCE, done.captured_ns, done, "fleetward.InferenceDone")


def fact(event: Event, at_ns: int) -> Recorded:
    """Something that the robot says of itself: a check-in, a model that serves."""
    name = type(event).__name__
    content = msgspec.json.encode({"fact": name, **msgspec.to_builtins(event)})
    return _json(FACTS, at_ns, content, "fleetward.Fact", _ANY_OBJECT)


def samples(frame: TelemetryFrame) -> Recorded:
    """The signals of a frame: by name, pairs of unix ns and value."""
    return _signals(frame, {series.signal for series in frame.series})


def chosen_samples(frame: TelemetryFrame, chosen: Collection[str]) -> Recorded | None:
    """As ``samples``, of the chosen signals; None: the frame has none of them."""
    if not any(series.signal in chosen for series in frame.series):
        return None
    return _signals(frame, chosen)


def image(content: bytes, shape: tuple[int, ...], dtype: str, at_ns: int) -> Recorded:
    """A frame, copied already: RGB as JPEG where Pillow is, else as it is."""
    stamp = {"sec": at_ns // _NS_PER_S, "nsec": at_ns % _NS_PER_S}
    if dtype != "uint8" or len(shape) != 3 or shape[2] != 3:
        return Recorded(
            topic=FRAMES, at_ns=at_ns, content=content, encoding=f"{dtype}{list(shape)}"
        )
    jpeg = _jpeg(content, shape[0], shape[1])
    said: dict[str, object] = {"timestamp": stamp, "frame_id": "camera"}
    if jpeg is not None:
        said |= {"format": "jpeg", "data": base64.b64encode(jpeg).decode()}
        return _json(
            FRAMES, at_ns, msgspec.json.encode(said), "foxglove.CompressedImage", _COMPRESSED
        )
    size = {"height": shape[0], "width": shape[1], "step": shape[1] * 3, "encoding": "rgb8"}
    said |= {**size, "data": base64.b64encode(content).decode()}
    return _json(FRAMES, at_ns, msgspec.json.encode(said), "foxglove.RawImage", _RAW)


def raw_image(content: Buffer, shape: tuple[int, ...], dtype: str, at_ns: int) -> Recorded:
    """A copy of a frame as it is: a picture as ROS 2 writes it, anything else as its bytes."""
    return ros_messages.picture(FRAMES, content, shape, dtype, at_ns) or Recorded(
        topic=FRAMES, at_ns=at_ns, content=bytes(content), encoding=f"{dtype}{list(shape)}"
    )


def json_message(topic: str, at_ns: int, content: Any, schema_name: str) -> Recorded:  # noqa: ANN401 (whatever msgspec can write as JSON)
    """Anything msgspec writes as a JSON object; raises what msgspec raises."""
    return _json(topic, at_ns, msgspec.json.encode(content), schema_name, _ANY_OBJECT)


def _signals(frame: TelemetryFrame, chosen: Collection[str]) -> Recorded:
    import numpy as np

    index = np.frombuffer(frame.series_index, dtype="<u2")
    at_us = np.frombuffer(frame.offsets_us, dtype="<u4").astype(np.int64)
    values = np.frombuffer(frame.values, dtype="<f8")
    found: dict[str, list[tuple[int, float]]] = {}
    for place, series in enumerate(frame.series):
        if series.signal in chosen:
            mine = index == place
            at_ns = frame.started_at_ns + at_us[mine] * _NS_PER_US
            pairs = zip(at_ns.tolist(), values[mine].tolist(), strict=True)
            found.setdefault(series.signal, []).extend(pairs)
    return json_message(SIGNALS, frame.started_at_ns, found, "fleetward.Signals")


def _json(topic: str, at_ns: int, content: bytes, schema_name: str, schema: bytes) -> Recorded:
    return Recorded(
        topic=topic,
        at_ns=at_ns,
        content=content,
        schema_name=schema_name,
        schema_encoding=_JSON_SCHEMA,
        schema=schema,
    )


def _jpeg(content: bytes, height: int, width: int) -> bytes | None:
    """None without Pillow: a robot may run without."""
    try:
        from PIL import Image
    except ImportError:
        return None
    written = io.BytesIO()
    Image.frombytes("RGB", (width, height), content).save(written, "JPEG", quality=JPEG_QUALITY)
    return written.getvalue()
