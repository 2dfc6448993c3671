"""Two coordinators, rollouts of two models on the same robots at the same time: neither loses the other's."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

from msgspec.structs import replace

from fleetward.bus.last_values import last_values
from fleetward.contracts.event import Event
from fleetward.contracts.ids import ModelName
from fleetward.contracts.registry import ModelRecord
from fleetward.contracts.robots import RobotCheckedIn, RobotTarget
from fleetward.contracts.rollouts import RolloutState, Strategy
from fleetward.contracts.rows import StreamName
from testkit.servers import NatsSystem
from testkit.telemetry import digest_of
from tests.integration.rollout_coordinator.coordinator_process import (
    CoordinatorProcess,
    signing_key,
)
from tests.integration.rollout_coordinator.detector import DIGESTS, MODEL, record
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet, running_fleet
from tests.integration.rollout_coordinator.robot_of_two import SEGMENTER, RobotOfTwo
from tests.integration.rollout_coordinator.stored import (
    assert_decisions_are_reproduced,
    stored_in,
    targets_in,
)

NAMES = tuple(f"berlin-{number}" for number in range(1, 9))
SIGHT = {"1": digest_of("d"), "2": digest_of("e"), "3": digest_of("f")}


def segmenters() -> ModelRecord:
    """Three versions of the segmenter."""
    made = record()
    versions = [
        replace(
            each,
            manifest=replace(
                each.manifest,
                model=replace(each.manifest.model, name=SEGMENTER),
                digest=SIGHT[each.manifest.model.version],
            ),
        )
        for each in made.versions
    ]
    return replace(made, name=SEGMENTER, versions=tuple(versions))


async def checked_in(fleet: Fleet) -> None:
    """Wait until every robot said which pipelines it has."""
    async with asyncio.timeout(30):
        while True:
            if len(await last_values(fleet.people, RobotCheckedIn)) == len(NAMES):
                return
            await asyncio.sleep(0.05)


def serving(fleet: Fleet) -> set[tuple[object, object]]:
    robots = [robot for robot in fleet.robots if isinstance(robot, RobotOfTwo)]
    return {(robot.serving[MODEL], robot.serving[SEGMENTER]) for robot in robots}


async def test_rollouts_of_two_models_and_of_both_together_lose_nothing_of_each_other(
    nats_system: NatsSystem, tmp_path: Path
) -> None:
    key = signing_key(tmp_path / "keys")
    replicas = [CoordinatorProcess(nats_system, tmp_path / name, key) for name in ("one", "two")]
    await asyncio.gather(*(replica.start() for replica in replicas))
    trust = tmp_path / "keys" / "trust"
    async with running_fleet(
        nats_system, trust, NAMES, made=RobotOfTwo, records=[segmenters()]
    ) as fleet:
        await checked_in(fleet)
        at_once = Strategy.ALL_AT_ONCE
        for version in "12":
            detector = fleet.ask(f"d-{version}", version, strategy=at_once)
            segmenter = fleet.ask(f"s-{version}", f"segmenter:{version}")
            for ended in [
                await fleet.ended(each) for each in await asyncio.gather(detector, segmenter)
            ]:
                assert ended.state is RolloutState.SUCCEEDED, ended.reason
            assert serving(fleet) == {(DIGESTS[version], SIGHT[version])}
        await replicas[0].kill()
        await replicas[0].start()
        fleet.robots[3].breaks = SIGHT["3"]
        strict = replace(POLICY, wave_percents=(100,))
        both = await fleet.ask("both", "3", policy=strict, together=["segmenter:3"])
        ended = await fleet.ended(both)
        assert ended.state is RolloutState.REVERTED
        assert "1 of 8 robots failed: berlin-4: " in ended.reason
        assert serving(fleet) == {(DIGESTS["2"], SIGHT["2"])}
        facts = await stored_in(nats_system, StreamName.ROLLOUTS)
        for replica in replicas:
            assert await replica.stop() == 0
    assert_each_model_is_carried_along(facts)
    assert_decisions_are_reproduced(facts)


def assert_each_model_is_carried_along(facts: list[Event]) -> None:
    """A target says of each model what the one before said, or the next generation of it."""
    written = targets_in(facts)
    assert len(written) == len(NAMES)
    for robot, targets in written.items():
        for before, after in pairwise(targets):
            was, became = by_model(before), by_model(after)
            assert was.keys() <= became.keys(), f"{robot} lost a model"
            for name, entry in became.items():
                known = was.get(name)
                grown = entry.generation - (known.generation if known else 0)
                assert entry == known or grown == 1, f"{robot}: {known} became {entry}"
        assert {name: entry.generation for name, entry in by_model(targets[-1]).items()} == {
            MODEL: 4,
            SEGMENTER: 4,
        }


def by_model(target: RobotTarget) -> dict[ModelName, RobotTarget]:
    return {entry.model.name: entry for entry in target.entries}
