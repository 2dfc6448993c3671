"""Which models have a pipeline of their own, and what is said of each, is set per robot."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_bridge.settings import Settings
from edge_bridge.sources.choice import Frames, answering, frames_of
from edge_bridge.sources.source import PushSource
from edge_bridge.state_dir import with_whole_paths
from edge_bridge.workers.inference_done import InferenceDone
from fleetward.bus.environment import SettingsError
from fleetward.contracts.errors import InvalidIdError
from fleetward.contracts.ids import Digest, ModelName
from tests.unit.edge_bridge.test_backend_settings import told

DONE = InferenceDone(
    frame=1,
    digest=Digest("sha256:" + "a" * 64),
    captured_ns=0,
    latency_s=0.01,
    perception_s=0.01,
    confidence=None,
    error=None,
    outputs_summary={},
)
SEGMENTER, SPEECH = ModelName("segmenter"), ModelName("speech-en")


def beside(**variables: str) -> dict[ModelName, Settings]:
    return told(FLEETWARD_PIPELINES="segmenter, speech-en", **variables).pipelines


def test_a_pipeline_has_the_robots_settings_but_for_what_is_said_of_it() -> None:
    pipelines = beside(
        FLEETWARD_BACKEND="onnxruntime",
        FLEETWARD_FRAMES_DIR="frames",
        FLEETWARD_DISTURBANCE_INFERENCE_MS="50",
        FLEETWARD_PIPELINE_SPEECH_EN_BACKEND="tensorrt",
        FLEETWARD_PIPELINE_SPEECH_EN_FRAME_SOCKET="microphone.sock",
        FLEETWARD_PIPELINE_SPEECH_EN_DISTURBANCE_INFERENCE_MS="5",
    )
    assert set(pipelines) == {SEGMENTER, SPEECH}
    segmenter, speech = pipelines[SEGMENTER], pipelines[SPEECH]
    assert (segmenter.slots.backend, segmenter.disturbance.inference_p99_s) == ("onnxruntime", 0.05)
    assert (segmenter.frames_dir, segmenter.frame_socket) == (None, None), "it sees the robot's"
    assert (speech.slots.backend, speech.disturbance.inference_p99_s) == ("tensorrt", 0.005)
    assert (speech.frames_dir, speech.frame_socket) == (None, Path("microphone.sock"))


def test_a_pipeline_has_a_source_of_its_own_only_where_one_is_named(tmp_path: Path) -> None:
    settings = told(
        FLEETWARD_PIPELINES="segmenter,speech-en",
        FLEETWARD_FRAME_SOCKET=str(tmp_path / "camera"),
        FLEETWARD_PIPELINE_SPEECH_EN_FRAME_SOCKET=str(tmp_path / "microphone"),
    )
    assert set(frames_of(settings).sources) == {SPEECH}


def test_answers_go_to_whoever_gave_that_model_its_frames() -> None:
    heard: list[tuple[str, ModelName | None]] = []

    def program(name: str) -> Frames:
        return Frames(PushSource(), lambda done: heard.append((name, done.pipeline)))

    camera, microphone = program("camera"), program("microphone")
    answer = answering(camera, {SEGMENTER: None, SPEECH: microphone})
    for pipeline in (None, SEGMENTER, SPEECH):
        answer(replace(DONE, pipeline=pipeline))
    assert heard == [("camera", None), ("microphone", SPEECH)]


def test_engines_of_all_pipelines_are_kept_in_one_place() -> None:
    settings = with_whole_paths(told(FLEETWARD_PIPELINES="segmenter"))
    directories = {each.slots.engines.directory for each in settings.pipelines.values()}
    assert directories == {settings.slots.engines.directory}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("FLEETWARD_PIPELINE_SEGMENTER_STATE_DIR", "elsewhere", "FRAME_SOCKET"),
        ("FLEETWARD_PIPELINE_DETECTOR_BACKEND", "auto", "a model that FLEETWARD_PIPELINES names"),
        ("FLEETWARD_PIPELINE_SEGMENTER_BACKEND", "tensort", "is not known"),
    ],
)
def test_what_cannot_be_said_of_a_pipeline_is_named(name: str, text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        beside(**{name: text})


@pytest.mark.parametrize("names", ["a,b,a", "front-left,front_left", ",".join("abcdefgh")])
def test_each_model_is_named_once_and_not_too_many(names: str) -> None:
    with pytest.raises(SettingsError, match="must name each model once, 7 at most"):
        told(FLEETWARD_PIPELINES=names)


def test_a_name_that_no_model_can_have_is_refused() -> None:
    with pytest.raises(InvalidIdError):
        told(FLEETWARD_PIPELINES="Segmenter!")
