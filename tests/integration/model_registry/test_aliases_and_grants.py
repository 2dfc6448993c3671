"""Aliases move once per believer, and a robot gets a link to what its own target names."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.bus.requests import ask
from fleetward.client import Fleet, UnknownModelError
from fleetward.contracts.ids import RobotId
from fleetward.contracts.registry import AliasMoved, GrantFetch, ModelVersion
from testkit.servers import NatsSystem
from tests.integration.model_registry import graphs
from tests.integration.model_registry.targets import give_target, granted, rebuilt


@pytest.fixture
async def versions(fleet: Fleet, tmp_path: Path) -> list[ModelVersion]:
    """Two published versions of a model of their own."""
    name, pushed = f"m-{uuid4().hex[:12]}", []
    for number in (1, 2):
        path = graphs.saved(graphs.good_model(number * 10.0), tmp_path / f"{number}.onnx")
        pushed.append((await fleet.push_model(path, name, f"{number}.0")).version)
    return pushed


async def test_an_alias_names_a_version_until_it_is_moved(
    fleet: Fleet, versions: list[ModelVersion]
) -> None:
    name = versions[0].manifest.model.name

    await fleet.move_alias(name, "production", "1.0")
    assert await fleet.model(f"{name}@production") == versions[0]

    moved = await fleet.move_alias(name, "production", "2.0", expected="1.0")
    assert moved.previous_version == "1.0"
    assert await fleet.model(f"{name}@production") == versions[1]
    history = (await fleet.model_record(name)).alias_history
    assert [step.version for step in history] == ["1.0", "2.0"]


async def test_of_movers_that_believe_the_same_exactly_one_moves(
    fleet: Fleet, versions: list[ModelVersion]
) -> None:
    name = versions[0].manifest.model.name
    moves = [fleet.move_alias(name, "production", "1.0") for _ in range(4)]

    outcomes = await asyncio.gather(*moves, return_exceptions=True)

    assert sum(isinstance(outcome, AliasMoved) for outcome in outcomes) == 1
    codes = {outcome.code for outcome in outcomes if isinstance(outcome, RefusedError)}
    assert codes == {"AliasConflictError"}
    assert len((await fleet.model_record(name)).alias_history) == 1


async def test_unknown_models_versions_and_aliases_are_named(
    fleet: Fleet, versions: list[ModelVersion]
) -> None:
    name = versions[0].manifest.model.name

    with pytest.raises(UnknownModelError, match="No model is named nobody"):
        await fleet.model("nobody:1.0")
    with pytest.raises(UnknownModelError, match=r"has versions 1\.0, 2\.0 and aliases none"):
        await fleet.model(f"{name}:9.9")
    with pytest.raises(UnknownModelError, match="@production is not published"):
        await fleet.model(f"{name}@production")
    with pytest.raises(RefusedError, match=r"9\.9 is not published"):
        await fleet.move_alias(name, "production", "9.9")


@pytest.mark.parametrize("which", [0, 1], ids=["target", "fallback"])
async def test_a_robot_reads_ranges_of_what_its_target_names(
    versions: list[ModelVersion], shared_nats_system: NatsSystem, tmp_path: Path, which: int
) -> None:
    await give_target(shared_nats_system, "arm-1", versions[0], fallback=versions[1])
    whole = (tmp_path / f"{which + 1}.onnx").read_bytes()

    grant = await granted(shared_nats_system, "arm-1", versions[which].manifest.digest)

    assert grant.signed == versions[which].signed
    assert grant.expires_at > datetime.now(timezone.utc)
    assert await rebuilt(grant, versions[which]) == whole


async def test_a_link_grants_reading_alone_and_of_one_object(
    versions: list[ModelVersion], shared_nats_system: NatsSystem
) -> None:
    await give_target(shared_nats_system, "arm-1", versions[0], fallback=versions[1])
    url = (await granted(shared_nats_system, "arm-1", versions[0].manifest.digest)).chunks_url
    chunks = [held.manifest.chunks for held in versions]
    own, other = (each.key.rpartition("/")[2] for each in chunks if each is not None)

    async with aiohttp.ClientSession() as session:
        assert (await session.put(url, data=b"mine now")).status == 403
        assert (await session.delete(url)).status == 403
        assert (await session.get(url.replace(own, other))).status == 403


async def test_a_digest_outside_the_target_is_refused(
    versions: list[ModelVersion], shared_nats_system: NatsSystem
) -> None:
    await give_target(shared_nats_system, "arm-1", versions[0], fallback=versions[0])

    with pytest.raises(RefusedError, match="does not name") as refused:
        await granted(shared_nats_system, "arm-1", versions[1].manifest.digest)

    assert refused.value.code == "FetchNotGrantedError"


async def test_a_robot_without_a_target_gets_nothing(
    versions: list[ModelVersion], shared_nats_system: NatsSystem
) -> None:
    with pytest.raises(RefusedError, match="has no target"):
        await granted(shared_nats_system, "arm-9", versions[0].manifest.digest)


async def test_a_robot_cannot_ask_in_anothers_name(
    versions: list[ModelVersion], shared_nats_system: NatsSystem
) -> None:
    await give_target(shared_nats_system, "arm-1", versions[0], fallback=versions[1])
    thief = await shared_nats_system.connect("arm-2")
    request = GrantFetch(robot_id=RobotId("arm-1"), digest=versions[0].manifest.digest)

    with pytest.raises(NoAnswerError):
        await ask(thief, request, timeout_s=1.0)
