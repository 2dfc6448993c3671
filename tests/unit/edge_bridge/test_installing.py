"""A release that is tried loses no time while the robot's work makes it stand still."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from edge_bridge.disturbance.brake import Brake, Braked
from edge_bridge.errors import ReleaseRefusedError
from edge_bridge.settings import Settings, settings_from
from edge_bridge.updating.check import Tried, limits_of, load_extra, own_parts
from edge_bridge.updating.installing import CHECK_S, _run
from edge_bridge.workers.slot_settings import SlotSettings
from fleetward.contracts.ids import Digest, ModelName, ModelRef, RobotId, Version
from fleetward.contracts.robots import ActivationStage
from fleetward.releases.extras import MODULE_OF, asked_for_by, lacked_without, modules_of

LIMIT_S, PAUSE_S = 0.4, 0.8


class PausingAtFirst:
    """A brake that holds from the beginning, and lets go after ``PAUSE_S``."""

    @contextmanager
    def over(self, braked: Braked) -> Iterator[None]:
        braked.pause()
        asyncio.get_running_loop().call_later(PAUSE_S, braked.resume)
        yield


async def tried_with(argv: list[str], told: bytes = b"") -> None:
    await _run(argv, told, LIMIT_S, ActivationStage.WARM_UP, cast(Brake, PausingAtFirst()))


async def test_a_pause_longer_than_the_limit_refuses_no_release() -> None:
    await tried_with(["sleep", "0.01"])


async def test_what_takes_longer_than_the_limit_apart_from_a_pause_is_refused() -> None:
    with pytest.raises(ReleaseRefusedError, match=r"took longer than 0.4 s"):
        await tried_with(["sleep", "60"])


async def test_what_ends_with_an_error_says_why() -> None:
    with pytest.raises(ReleaseRefusedError, match="status 3: no such thing"):
        await tried_with(["sh", "-c", "cat >&2; exit 3"], b"no such thing")


@pytest.mark.parametrize("pipeline", [None, ModelName("other")])
def test_a_load_inside_has_no_tighter_limit_than_the_whole(
    tmp_path: Path, pipeline: ModelName | None
) -> None:
    slots = SlotSettings(load_timeout_s=1.0)
    settings = Settings(
        robot_id=RobotId("r1"),
        nats_url="",
        credentials=tmp_path,
        state_dir=tmp_path,
        trust_dir=tmp_path,
        slots=slots,
    )
    model = ModelRef(ModelName("detector"), Version("v1"))
    tried = Tried(model=model, digest=Digest("sha256:" + "a" * 64), path="m", pipeline=pipeline)
    whole_s = CHECK_S + slots.load_timeout_s + slots.engines.build_limit_s
    assert limits_of(settings, tried).load_timeout_s >= whole_s


def test_a_release_is_tried_with_what_the_robots_settings_ask_for() -> None:
    """One without an extra that the robot uses would serve on and silently do less."""
    needed = {
        "FLEETWARD_STATE_DIR": "state",
        "FLEETWARD_ROBOT_ID": "robot-1",
        "FLEETWARD_NATS_URL": "nats://127.0.0.1:4222",
        "FLEETWARD_CREDENTIALS": "robot.creds",
        "FLEETWARD_TRUST_DIR": "trust",
    }
    assert (own_parts(settings_from(needed)), asked_for_by(needed)) == ((), frozenset())
    asked = {
        "FLEETWARD_PIPELINES": "speech",
        "FLEETWARD_PIPELINE_SPEECH_VIDEO": "/dev/video1",
        "FLEETWARD_RULES": "shipped",
        "FLEETWARD_FOXGLOVE": "8765",
        "FLEETWARD_VIDEO": "/dev/video0",
        "FLEETWARD_RECORDING": "drive.mcap",
        "FLEETWARD_CONTINUOUS_TOPICS": "/frames",
        "FLEETWARD_LOGS": "on",
    }
    told = {**needed, **asked}
    assert asked_for_by(told) == set(MODULE_OF)
    assert len(own_parts(settings_from(told))) == 2, "a recorder and a collector of logs"
    assert settings_from(told).extras == tuple(sorted(MODULE_OF)), "as it says in check-ins"
    for name in (*own_parts(settings_from(told)), *modules_of([*MODULE_OF])):
        assert importlib.util.find_spec(name) is not None, name


@pytest.mark.parametrize("variable", ["FLEETWARD_BACKEND", "FLEETWARD_PIPELINE_SPEECH_BACKEND"])
def test_tensorrt_comes_with_the_bare_bridge_on_a_jetson_and_is_an_extra_elsewhere(
    variable: str,
) -> None:
    told = {variable: "tensorrt"}
    assert lacked_without(told, "x86_64") == {"tensorrt"}
    assert lacked_without(told, "aarch64") == frozenset()


def test_a_release_without_an_extra_that_is_asked_for_is_refused_by_the_extras_name() -> None:
    told = (
        r"need the extra foxglove.*No module named 'no_such_module'.*bridge push --extra foxglove"
    )
    with pytest.raises(ImportError, match=told):
        load_extra("foxglove", ["no_such_module"])
