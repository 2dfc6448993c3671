"""The hub's rule file on the robot, with real workers: it takes a model back, cable in or out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_bridge.bridge import Bridge
from edge_bridge.converging.health import HealthBounds
from edge_bridge.rules.settings import RuleSettings, rule_settings
from edge_bridge.settings import Settings
from edge_bridge.workers.staged_model import StagedModel
from fleetward.bus.environment import Environment
from fleetward.contracts.robots import (
    ActivationFailed,
    ModelActivated,
    ModelFellBack,
    RobotCheckedIn,
)
from testkit.servers import NatsSystem
from tests.integration.edge_bridge.camera import Camera
from tests.integration.edge_bridge.fleet import WAIT_S, Fleet, running_fleet
from tests.integration.edge_slots import tiny_models

SLOW_RULE = """
groups:
  - name: own
    rules:
      - alert: TooSlow
        expr: quantile_over_time(0.5, model_inference_duration_seconds[1s]) > 0.004
        for: 1s
        labels: {severity: SEVERITY}
        annotations: {summary: "{{ $labels.robot }} is slow"}
"""
PRODUCTS = 16
LENIENT = HealthBounds(min_inferences=10_000)
"""So that nothing but a rule takes a model back."""


@pytest.fixture
async def fleet(nats_system: NatsSystem, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with running_fleet(nats_system, tmp_path) as running:
        yield running


def judged_by(fleet: Fleet, severity: str) -> Settings:
    path = fleet.directory / "own.yml"
    path.write_text(SLOW_RULE.replace("SEVERITY", severity))
    return fleet.settings(health=LENIENT, rules=RuleSettings(path=path), proof_timeout_s=WAIT_S)


async def serve(fleet: Fleet, first: StagedModel, candidate: StagedModel, window_s: float) -> None:
    """The candidate serves and is proved, within its health window."""
    fleet.publish_model(first)
    fleet.publish_model(candidate)
    await fleet.aim(first, 1)
    await fleet.hears(ModelActivated)
    await fleet.aim(candidate, 2, health_window_s=window_s, proof_inferences=2)
    await fleet.hears(ModelActivated, lambda fact: fact.generation == 2)


async def test_a_rule_of_the_hub_takes_a_failing_model_back_while_the_cable_is_out(
    fleet: Fleet,
) -> None:
    first = tiny_models.brightness(fleet.directory, "v1")
    failing = tiny_models.failing(fleet.directory, "v2", on_black=False)
    shipped = rule_settings(Environment({"FLEETWARD_RULES": "shipped"}))
    camera = Camera()
    settings = fleet.settings(health=LENIENT, rules=shipped)
    async with Bridge(settings, source=camera) as bridge:
        await serve(fleet, first, failing, window_s=600)
        await fleet.system.kill()
        camera.brightness = 255
        async with asyncio.timeout(WAIT_S):
            while not bridge.active or bridge.active.digest != first.digest:  # noqa: ASYNC110 (who would tell is dead)
                await asyncio.sleep(0.05)
        await fleet.system.restart()
        fell = await fleet.hears(ModelFellBack)
        assert (fell.generation, fell.from_digest) == (2, failing.digest)
        assert fell.to_digest == first.digest
        assert fell.reason.startswith("rule InferenceErrors: ")
        assert fell.reason.endswith("inferences failed on r1 within 10 s.")


async def test_a_rule_takes_a_slow_model_back_and_lets_the_only_other_one_serve(
    fleet: Fleet,
) -> None:
    """Both break the rule: the first one has nothing to return to, and is what the robot returns to."""
    first = tiny_models.laborious(fleet.directory, "v1", products=PRODUCTS)
    second = tiny_models.laborious(fleet.directory, "v2", products=PRODUCTS + 1)
    async with Bridge(judged_by(fleet, "critical"), source=Camera()) as bridge:
        await serve(fleet, first, second, window_s=600)
        fell = await fleet.hears(ModelFellBack)
        assert (fell.to_digest, fell.reason) == (first.digest, "rule TooSlow: r1 is slow")
        await fleet.aim(first, 3, proof_inferences=100)
        await fleet.hears(ModelActivated, lambda fact: fact.generation == 3)
        assert bridge.active is not None
        assert bridge.active.digest == first.digest
        assert fleet.count(ActivationFailed) == 0


async def test_a_rule_that_only_warns_takes_nothing_back(fleet: Fleet) -> None:
    first = tiny_models.brightness(fleet.directory, "v1")
    slow = tiny_models.laborious(fleet.directory, "v2", products=PRODUCTS)
    async with Bridge(judged_by(fleet, "warning"), source=Camera()):
        await serve(fleet, first, slow, window_s=4.0)
        await fleet.hears(
            RobotCheckedIn,
            lambda fact: fact.active_digest == slow.digest and fact.warm_digest is None,
        )
        assert fleet.count(ModelFellBack) == 0
