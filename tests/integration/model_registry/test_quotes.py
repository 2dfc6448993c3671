"""What the registry quotes is what a robot then fetches, to the byte."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from edge_bridge.errors import ByteCapError
from fleetward.bus.errors import RefusedError
from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.client.quotes import Cohort, RolloutQuote, quote
from fleetward.contracts.ids import version
from fleetward.contracts.quotes import MAX_HELD_SETS, QuoteUpdate
from fleetward.contracts.registry import ModelVersion
from testkit.servers import NatsSystem
from tests.integration.model_registry.robots import MIB, Robot, two_versions
from tests.integration.model_registry.test_deltas import a_model, nudged, offered
from tests.unit.delivery.safetensors_files import write_safetensors


@pytest.fixture
async def versions(fleet: Fleet, tmp_path: Path) -> list[ModelVersion]:
    return await two_versions(fleet, tmp_path)


def cohort_of(quoted: RolloutQuote, robot: Robot) -> Cohort:
    (found,) = (cohort for cohort in quoted.cohorts if robot.id in cohort.robots)
    return found


async def test_the_quote_is_what_each_robot_then_fetches(
    fleet: Fleet, shared_nats_system: NatsSystem, versions: list[ModelVersion], tmp_path: Path
) -> None:
    first, second = versions
    robots = [Robot(f"arm-{n}", shared_nats_system, tmp_path) for n in range(1, 4)]
    fresh, behind, current = robots
    await behind.fetch(first)
    await current.fetch(second)
    for robot in robots:
        await robot.check_in("hall")

    quoted = await quote(fleet.connection, str(second.manifest.model), "site=hall")

    assert cohort_of(quoted, current).quote.fetch_bytes == 0
    for robot in (fresh, behind):
        cost = await robot.fetch(second)
        assert cost.received_bytes == cost.planned_bytes
        assert cohort_of(quoted, robot).quote.fetch_bytes == cost.received_bytes
        assert not cost.remarks
    whole, update = (cohort_of(quoted, robot).quote.fetch_bytes for robot in (fresh, behind))
    assert quoted.dearest_bytes == whole > 8 * MIB
    assert MIB <= update < 1.02 * MIB + 20_000
    assert quoted.total_bytes == whole + update
    assert cohort_of(quoted, fresh).minutes(link_mbps=whole * 8 / 1e6) == pytest.approx(1 / 60)


async def test_a_cap_of_the_quote_is_enough_and_a_byte_less_is_not(
    fleet: Fleet, shared_nats_system: NatsSystem, versions: list[ModelVersion], tmp_path: Path
) -> None:
    first, second = versions
    one, other = (Robot(f"arm-{n}", shared_nats_system, tmp_path) for n in (4, 5))
    for robot in (one, other):
        await robot.fetch(first)
        await robot.check_in("yard")
    quoted = await quote(fleet.connection, str(second.manifest.model), "site=yard")

    with pytest.raises(ByteCapError, match="needs"):
        await one.fetch(second, quoted.dearest_bytes - 1)
    cost = await other.fetch(second, quoted.dearest_bytes)

    assert cost.received_bytes == quoted.dearest_bytes
    assert one.store.digests() == {first.manifest.digest}


async def test_the_quote_of_a_delta_is_what_the_robot_then_fetches(
    fleet: Fleet, shared_nats_system: NatsSystem, tmp_path: Path
) -> None:
    name, robot = f"m-{uuid4().hex[:12]}", Robot("arm-6", shared_nats_system, tmp_path)
    before = write_safetensors(tmp_path / "1", a_model())
    after = write_safetensors(tmp_path / "2", nudged(a_model()))
    await robot.fetch((await fleet.push_model(before, name, "1.0")).version)
    await robot.check_in("dock")
    await fleet.push_model(after, name, "2.0")
    (offer,) = await offered(fleet, f"{name}:2.0")

    (cohort,) = (await quote(fleet.connection, f"{name}:2.0", "site=dock")).cohorts
    cost = await robot.fetch(await fleet.model(f"{name}:2.0"))

    assert cohort.quote.delta_base == offer.base
    assert cost.received_bytes == cohort.quote.fetch_bytes < after.stat().st_size * 0.3
    assert not cost.remarks


async def test_a_quote_of_what_is_not_published_or_of_too_many_kinds_is_refused(
    fleet: Fleet, versions: list[ModelVersion]
) -> None:
    model = versions[0].manifest.model
    missing = QuoteUpdate(name=model.name, version=version("9.9"), held=((),))
    with pytest.raises(RefusedError, match="is not published"):
        await ask(fleet.connection, missing)
    many = QuoteUpdate(name=model.name, version=model.version, held=((),) * (MAX_HELD_SETS + 1))
    with pytest.raises(RefusedError, match="Ask for fewer robots"):
        await ask(fleet.connection, many)
