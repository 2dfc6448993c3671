"""Where viewers may come, how large pictures become small, and under which names samples are plotted."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from edge_bridge.foxglove.address import FoxgloveAddress, foxglove_address
from edge_bridge.foxglove.pictures import MAX_PIXELS, picture
from edge_bridge.foxglove.samples import latest
from edge_bridge.foxglove.view import FoxgloveView, NoFoxgloveError
from edge_bridge.foxglove.wire import HeardMessages, Listening, NotUnderstoodError, Watched, packed
from edge_bridge.telemetry.columns import FrameLimits, Recorder
from fleetward.bus.environment import Environment, SettingsError
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.telemetry import DIGEST_ATTRIBUTE


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8765", "127.0.0.1", 8765),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("localhost:8765", "127.0.0.1", 8765),
        ("[::1]:8765", "::1", 8765),
        (":0", "127.0.0.1", 0),
    ],
)
def test_viewers_come_to_loopback(text: str, host: str, port: int) -> None:
    assert foxglove_address(Environment({"FLEETWARD_FOXGLOVE": text})) == FoxgloveAddress(
        host, port
    )


@pytest.mark.parametrize("text", ["yes", "127.0.0.1:", "127.0.0.1:70000", "8765:on", "-1", "²"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="no port"):
        foxglove_address(Environment({"FLEETWARD_FOXGLOVE": text}))


@pytest.mark.parametrize("text", ["0.0.0.0:8765", "[::]:8765", "192.0.2.1:8765", "robot:8765"])
def test_another_address_is_refused_with_the_way_to_look_from_elsewhere(text: str) -> None:
    with pytest.raises(SettingsError, match=r"ssh -L 8765:127\.0\.0\.1:8765"):
        foxglove_address(Environment({"FLEETWARD_FOXGLOVE": text}))


def test_without_the_sdk_the_setting_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "foxglove", None)  # as Python itself marks what is not there
    with pytest.raises(NoFoxgloveError, match=r"edge-bridge\[foxglove\]"):
        FoxgloveView(FoxgloveAddress("127.0.0.1", 0), RobotId("r1"))


def test_a_large_picture_is_thinned_and_stays_a_picture() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1080, 1920, 3), np.uint8)
    shown = picture(pixels.tobytes(), pixels.shape, "uint8", 5)
    assert shown is not None
    assert (shown.height, shown.width) == (360, 640)
    assert shown.height * shown.width <= MAX_PIXELS
    assert shown.content == pixels[::3, ::3].tobytes()


def test_a_small_picture_is_whole_and_sound_is_no_picture() -> None:
    small = picture(memoryview(bytes(12)), (2, 2, 3), "uint8", 5)
    assert small is not None
    assert (small.height, small.width, small.content) == (2, 2, bytes(12))
    assert picture(bytes(40), (10,), "float32", 5) is None
    assert picture(bytes(4), (2, 2, 1), "uint8", 5) is None


def test_samples_are_named_by_signal_and_attributes_and_the_latest_of_each_counts() -> None:
    recorder = Recorder(RobotId("r1"), BootId("b1"), FrameLimits())
    recorder.record("hw.temperature", 50.0, {"hw.id": "cpu-thermal"}, at_ns=1_000_000)
    recorder.record("hw.temperature", 51.0, {"hw.id": "cpu-thermal"}, at_ns=3_000_000)
    recorder.record("hw.temperature", 40.0, {"hw.id": "gpu"}, at_ns=2_000_000)
    recorder.record(
        "model.inference.duration", 0.5, {DIGEST_ATTRIBUTE: "sha256:1"}, at_ns=2_000_000
    )
    frame = recorder.cut()
    assert frame is not None
    at_ns, content = latest(frame)
    assert at_ns == 3_000_000
    assert json.loads(content) == {
        "hw_temperature_cpu_thermal": 51.0,
        "hw_temperature_gpu": 40.0,
        "model_inference_duration": 0.5,
    }


def test_messages_are_put_together_from_any_pieces_and_nonsense_is_named() -> None:
    sent = b"".join(packed(Listening(8765)) + packed(Watched(("/frames",))))
    messages = HeardMessages()
    heard = [each for byte in sent for each in messages.arrived(bytes([byte]))]
    assert heard == [Listening(8765), Watched(("/frames",))]
    with pytest.raises(NotUnderstoodError):
        list(HeardMessages().arrived(b"\x01\x00\x00\x00\xc1"))
    with pytest.raises(NotUnderstoodError):
        list(HeardMessages().arrived(b"\xff\xff\xff\xff"))
