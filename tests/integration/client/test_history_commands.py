"""A person asks what was in production on a robot at a moment, and is told from facts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fleetward.bus.history import history
from fleetward.bus.publish import publish
from fleetward.client.errors import UnknownModelError, UnknownRobotError
from fleetward.client.history import of_alias, of_model, of_robot
from fleetward.contracts.ids import (
    ModelRef,
    RobotId,
    RolloutId,
    alias_name,
    model_name,
    robot_id,
    version,
)
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.registry import AliasMoved
from fleetward.contracts.robots import ModelActivated
from fleetward.contracts.rows import Principal
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of
from tests.integration.client.test_command_line import fleetward

TUESDAY = datetime(2026, 11, 24, 14, 0, tzinfo=timezone.utc)
DETECTOR = model_name("detector")


def activated(release: str, minutes: int) -> ModelActivated:
    return ModelActivated(
        robot_id=RobotId("arm-1"),
        rollout_id=RolloutId(f"r-{release}"),
        generation=minutes + 1,
        model=ModelRef(DETECTOR, version(release)),
        digest=digest_of(release),
        inferences=20,
        swap_ms=1.0,
        warm_up_ms=1.0,
        bytes_fetched=0,
        activated_at=TUESDAY + timedelta(minutes=minutes),
    )


def moved(release: str, minutes: int) -> AliasMoved:
    return AliasMoved(
        name=DETECTOR,
        alias=alias_name("production"),
        version=version(release),
        moved_at=TUESDAY + timedelta(minutes=minutes),
        by="ada",
    )


async def test_what_was_in_production_on_this_robot_at_14_03_on_tuesday(
    shared_nats_system: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    home = home_of(shared_nats_system)
    robot = await shared_nats_system.connect("arm-1")
    registry = await shared_nats_system.connect(Principal.REGISTRY)
    for release, minutes in (("1", 0), ("2", 5)):
        await publish(robot, activated(release, minutes))
        await publish(registry, moved(release, minutes))
    recalled = ModelWithdrawn(
        name=DETECTOR,
        version=version("1"),
        digest=digest_of("1"),
        reason="sees ghosts",
        by="grace",
        withdrawn_at=TUESDAY + timedelta(hours=1),
    )
    await publish(registry, recalled)
    people = await shared_nats_system.connect(Principal.OPERATOR)
    async with asyncio.timeout(60.0):
        while len([fact async for fact in history(people, ModelActivated, robot_id="arm-1")]) < 2:
            pass  # the server copies a moment later

    at = await fleetward(home, "robot", "history", "arm-1", "--at", "2026-11-24T15:03+01:00")
    everything = await fleetward(home, "robot", "history", "arm-1", "--json")
    model = await fleetward(home, "model", "history", "detector")
    alias = await fleetward(home, "model", "history", "detector@production", "--json")
    before = await fleetward(home, "robot", "history", "arm-1", "--at", "2026-11-24T13:59Z")

    assert at.code == 0
    assert "arm-1 at 2026-11-24 15:03:00 +0100: detector:1\n" in at.output
    assert "until 2026-11-24 14:05:00 UTC" in at.output
    assert "aliases  @production" in at.output
    assert [each["model"] for each in json.loads(everything.output)] == ["detector:1", "detector:2"]
    assert "2026-11-24 15:00:00 UTC  1 WITHDRAWN: sees ghosts" in model.output
    assert [each["by"] for each in json.loads(alias.output)] == ["ada", "ada"]
    assert (before.code, before.output) == (1, "")
    assert "is not known to have served anything" in before.complaint


async def test_the_history_of_what_never_was_is_an_error_that_names_what_there_is(
    shared_nats_system: NatsSystem,
) -> None:
    registry = await shared_nats_system.connect(Principal.REGISTRY)
    await publish(registry, moved("1", 0))
    people = await shared_nats_system.connect(Principal.OPERATOR)
    with pytest.raises(UnknownRobotError, match="No robot arm-9 is enrolled"):
        await of_robot(people, robot_id("arm-9"))
    with pytest.raises(UnknownModelError, match="No model is named detectr"):
        await of_model(people, model_name("detectr"))
    with pytest.raises(UnknownModelError, match=r"@prod never named a version; .* @production"):
        await of_alias(people, DETECTOR, alias_name("prod"))
