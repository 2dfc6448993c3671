"""A new model is staged beside the one that serves, and swapped in without losing a frame."""

from __future__ import annotations

import array
from pathlib import Path

import msgspec
import psutil
import pytest

from edge_bridge.errors import (
    LoadFailedError,
    NothingStagedError,
    NothingWarmError,
    WarmUpFailedError,
)
from edge_bridge.frames import frame_of
from edge_bridge.workers.slots import StagedModel
from fleetward.contracts.ids import Digest
from tests.integration.edge_slots.rig import SETTINGS, Rig, running
from tests.integration.edge_slots.tiny_models import (
    brightness,
    counting_audio,
    digest_of,
    failing,
    staged,
    with_external_data,
)


async def test_frames_before_the_first_model_are_not_in_the_ledger(tmp_path: Path) -> None:
    async with running() as rig:
        rig.push()
        await rig.serve(brightness(tmp_path, "v1"))
        rig.push()
        (only,) = await rig.until_results(1)

        assert only.frame == 1
        assert rig.slots.ledger.frames_captured == 1


async def test_worker_attests_the_digest_of_the_file_and_answers_its_frames(tmp_path: Path) -> None:
    model = brightness(tmp_path, "v1")
    async with running() as rig:
        warm_up = await rig.slots.stage(model)
        await rig.slots.swap()
        rig.push(255)
        (done,) = await rig.until_results(1)

        assert warm_up.digest_mapped == digest_of(model.path)
        assert done.digest == model.digest
        assert done.error is None
        assert done.confidence == pytest.approx(1.0)
        assert done.outputs_summary["y"].mean == pytest.approx(1.0)
        assert 0 < done.latency_s < 1
        assert 0 < done.perception_s < 1


@pytest.mark.parametrize("in_flight", [1, 2])
async def test_swap_under_load_serves_every_frame_exactly_once(
    tmp_path: Path, in_flight: int
) -> None:
    blue, green = brightness(tmp_path, "v1"), brightness(tmp_path, "v2", gain=0.5)
    settings = msgspec.structs.replace(SETTINGS, in_flight_limit=in_flight)
    async with running(settings) as rig:
        await rig.serve(blue)
        rig.on_result = rig.push  # the next frame is captured as soon as one is answered
        for _ in range(in_flight):
            rig.push()
        await rig.slots.stage(green)
        swapped = await rig.slots.swap()
        served_by_green = len(rig.results) + 50
        await rig.until_results(served_by_green)
        rig.on_result = lambda: None
        await rig.until(lambda: rig.slots.ledger.unaccounted() == 0)

        ledger = rig.slots.ledger
        assert sorted(done.frame for done in rig.results) == list(
            range(1, ledger.frames_captured + 1)
        )
        assert (ledger.frames_dropped, ledger.frames_reissued, ledger.frames_failed) == (0, 0, 0)
        by_green = [done.frame for done in rig.results if done.digest == green.digest]
        assert by_green == list(range(swapped.first_frame, ledger.frames_captured + 1))
        assert rig.slots.warm == blue


async def test_memory_of_the_old_worker_is_returned_when_the_health_window_ends(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        await rig.serve(brightness(tmp_path, "v2"))
        warm = rig.slots.worker_pids["warm"]
        assert psutil.pid_exists(warm)
        await rig.slots.retire_warm()

        assert not psutil.pid_exists(warm)
        assert rig.slots.warm is None
        with pytest.raises(NothingWarmError):
            await rig.slots.fall_back("nothing to return to")
        assert rig.slots.serving


async def test_caller_returns_to_the_warm_model_without_losing_a_frame(tmp_path: Path) -> None:
    blue, green = brightness(tmp_path, "v1"), brightness(tmp_path, "v2")
    async with running() as rig:
        await rig.serve(blue)
        await rig.serve(green)
        bad = rig.slots.worker_pids["active"]
        rig.push()
        fell_back = await rig.slots.fall_back("confidence fell")
        (done,) = await rig.until_results(1)

        assert (fell_back.from_digest, fell_back.to_digest) == (green.digest, blue.digest)
        assert fell_back.frames_reissued == rig.slots.ledger.frames_reissued == 1
        assert done.digest == blue.digest
        assert rig.fallbacks == []
        assert not psutil.pid_exists(bad)


async def _refused_while_v1_serves(
    rig: Rig, serving: StagedModel, refused: StagedModel, error: type[Exception], told: str
) -> None:
    await rig.serve(serving)
    before = rig.slots.worker_pids
    with pytest.raises(error, match=told):
        await rig.slots.stage(refused)
    rig.push()
    (done,) = await rig.until_results(1)
    assert done.digest == serving.digest
    assert rig.slots.worker_pids == before
    with pytest.raises(NothingStagedError):
        await rig.slots.swap()


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08\x12\x00" * 1000])
async def test_corrupt_model_leaves_the_active_one_untouched(
    tmp_path: Path, content: bytes
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(content)
    v1 = brightness(tmp_path, "v1")
    async with running() as rig:
        await _refused_while_v1_serves(rig, v1, staged(broken), LoadFailedError, "broken.onnx")


async def test_missing_file_leaves_the_active_one_untouched(tmp_path: Path) -> None:
    v1 = brightness(tmp_path, "v1")
    gone = StagedModel(model=v1.model, digest=v1.digest, path=tmp_path / "gone.onnx")
    async with running() as rig:
        await _refused_while_v1_serves(rig, v1, gone, LoadFailedError, "gone.onnx")


async def test_file_that_changed_since_it_was_verified_is_refused_before_it_is_parsed(
    tmp_path: Path,
) -> None:
    v1, other = brightness(tmp_path, "v1"), brightness(tmp_path, "v2")
    changed = staged(other.path, digest=Digest("sha256:" + "0" * 64))
    async with running() as rig:
        await _refused_while_v1_serves(rig, v1, changed, LoadFailedError, "changed on this robot")


async def test_model_that_fails_its_warm_up_leaves_the_active_one_untouched(
    tmp_path: Path,
) -> None:
    v1, fails = brightness(tmp_path, "v1"), failing(tmp_path, "v2", on_black=True)
    async with running() as rig:
        await _refused_while_v1_serves(rig, v1, fails, WarmUpFailedError, "empty frame")


async def test_inference_that_fails_is_a_result_with_an_error(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(failing(tmp_path, "v1", on_black=False))
        rig.push(255)
        rig.push(0)
        bright, black = await rig.until_results(2)

        assert bright.error is not None
        assert "Gather" in bright.error
        assert black.error is None
        assert (rig.slots.ledger.frames_failed, rig.slots.ledger.frames_served) == (1, 1)


async def test_audio_model_hears_samples_and_keeps_its_state_from_frame_to_frame(
    tmp_path: Path,
) -> None:
    async with running() as rig:
        await rig.serve(counting_audio(tmp_path, "v1", step=2))
        heard: list[tuple[float | None, float | None]] = []
        for peak in (0.25, 0.5):
            assert rig.source.push(frame_of(array.array("f", [0.0, peak])))
            done = (await rig.until_results(len(heard) + 1))[-1]
            heard.append((done.outputs_summary["peak"].maximum, done.outputs_summary["count"].mean))

        assert heard == [(0.25, 2.0), (0.5, 4.0)]


async def test_weights_outside_the_attested_file_are_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    v1, outside = brightness(tmp_path, "v1"), with_external_data(tmp_path, "v2")
    async with running() as rig:
        await _refused_while_v1_serves(rig, v1, outside, LoadFailedError, "cannot be loaded")


async def test_discarded_model_is_gone_and_cannot_be_swapped_in(tmp_path: Path) -> None:
    async with running() as rig:
        await rig.serve(brightness(tmp_path, "v1"))
        await rig.slots.stage(brightness(tmp_path, "v2"))
        green = rig.slots.worker_pids["staged"]
        await rig.slots.discard_staged()

        assert not psutil.pid_exists(green)
        with pytest.raises(NothingStagedError):
            await rig.slots.swap()
