"""What nothing needs goes, what anybody needs stays; a version travels whole between registries."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import pytest

from fleetward.bus.errors import RefusedError
from fleetward.bus.history import history
from fleetward.bus.publish import publish
from fleetward.client import Description, Fleet
from fleetward.client.archives import export_version, import_version
from fleetward.contracts.curation import Standing
from fleetward.contracts.ids import BootId, RobotId
from fleetward.contracts.judgements import ModelsRetired
from fleetward.contracts.registry import ModelVersion
from fleetward.contracts.robots import RobotCheckedIn
from testkit.servers import NatsSystem, ObjectStore
from tests.integration.model_registry import bucket, graphs
from tests.integration.model_registry.targets import give_target, granted


@pytest.fixture(scope="module")
def registry_environment(registry_environment: dict[str, str]) -> dict[str, str]:
    """A registry that keeps one version beside what is needed, and waits no time to speak of."""
    return {
        **registry_environment,
        "FLEETWARD_KEEP_VERSIONS": "1",
        "FLEETWARD_PRUNE_GRACE_S": "0.001",
    }


@pytest.fixture
def name() -> str:
    """A model name that no other test of the module uses."""
    return f"m-{uuid4().hex[:12]}"


async def push(fleet: Fleet, tmp_path: Path, name: str, release: str) -> ModelVersion:
    """Publish bytes that no other test has."""
    bias = int(uuid4().hex[:6], 16) / 7.0
    path = graphs.saved(graphs.good_model(bias), tmp_path / f"{release}.onnx")
    said = Description(lineage={"dataset": "roads-7"}, card="# Adds a bias\n")
    return (await fleet.push_model(path, name, release, description=said)).version


async def hold(system: NatsSystem, robot: str, version: ModelVersion) -> None:
    """Let a robot say that it has these bytes on its disk."""
    checked_in = RobotCheckedIn(
        robot_id=RobotId(robot),
        boot_id=BootId("b-1"),
        sequence=1,
        cached_digests=(version.manifest.digest,),
        checked_in_at=datetime.now(timezone.utc),
    )
    await publish(await system.connect(robot), checked_in)


async def test_a_prune_leaves_what_aliases_and_robots_need(
    fleet: Fleet,
    shared_nats_system: NatsSystem,
    object_store: ObjectStore,
    tmp_path: Path,
    name: str,
) -> None:
    releases = ["1.0", "2.0", "3.0", "4.0", "5.0", "6.0"]
    old, aliased, fallback, wanted, held, newest = [
        await push(fleet, tmp_path, name, release) for release in releases
    ]
    await fleet.move_alias(name, "production", aliased.manifest.model.version)
    await give_target(shared_nats_system, "arm-1", wanted, fallback=fallback)
    await hold(shared_nats_system, "arm-2", held)
    await bucket.put(object_store, "packs/sha256/" + "0" * 64, b"of a publish that died")
    await bucket.put(object_store, "elsewhere/notes.txt", b"not the registry's")
    before = await bucket.keys_in(object_store)

    said = await fleet.curation.prune(dry_run=True)
    assert await bucket.keys_in(object_store) == before
    assert said.versions == (f"{name}:1.0",)
    pruned = await fleet.curation.prune()
    assert await bucket.keys_in(object_store) == before  # unnamed for no time yet
    await fleet.curation.prune()

    left = await bucket.keys_in(object_store)
    assert pruned.versions == (f"{name}:1.0",)
    record = await fleet.model_record(name)
    assert [each.manifest.model.version for each in record.versions] == releases[1:]
    assert old.manifest.chunks is not None
    assert old.manifest.chunks.key in before - left
    assert "packs/sha256/" + "0" * 64 not in left
    assert "elsewhere/notes.txt" in left
    for version in (wanted, fallback):
        grant = await granted(shared_nats_system, "arm-1", version.manifest.digest)
        assert {f"packs/sha256/{pack.removeprefix('sha256:')}" for pack in grant.packs} <= left
    assert newest.manifest.chunks is not None
    assert newest.manifest.chunks.key in left
    assert (await fleet.curation.prune()).objects == 0


async def test_what_was_said_of_a_retired_version_is_kept(
    fleet: Fleet, tmp_path: Path, name: str
) -> None:
    for release in ("1.0", "2.0"):
        await push(fleet, tmp_path, name, release)
    await fleet.curation.prune()

    said = (await fleet.curation.of_all((await fleet.model_record(name)).name))[1]
    assert (said.standing, said.lineage) == (Standing.RETIRED, {"dataset": "roads-7"})
    facts = [fact async for fact in history(fleet.connection, ModelsRetired, name=name)]
    assert [fact.versions for fact in facts] == [("1.0",)]


async def test_a_retired_version_is_published_again_as_a_new_release(
    fleet: Fleet, tmp_path: Path, name: str
) -> None:
    for release in ("1.0", "2.0"):
        await push(fleet, tmp_path, name, release)
    await fleet.curation.prune()

    again = (await fleet.push_model(tmp_path / "1.0.onnx", name, "1.0")).version

    assert again.manifest.release == 3
    assert (await fleet.curation.of(f"{name}:1.0")).curation.standing is Standing.CURRENT


async def test_a_version_travels_whole_and_keeps_where_it_came_from(
    fleet: Fleet, tmp_path: Path, name: str
) -> None:
    there = await push(fleet, tmp_path, name, "1.0")
    archive = tmp_path / "version.tar"
    await export_version(fleet.connection, there.manifest.model, archive)

    here = (await import_version(fleet, archive, name=f"{name}-here")).version

    assert here.manifest.digest == there.manifest.digest
    assert here.signed != there.signed
    curated = await fleet.curation.of(f"{name}-here:1.0")
    assert curated.card == "# Adds a bias\n"
    assert curated.curation.licence == "Apache-2.0"
    assert curated.curation.lineage == {
        "origin": f"{name}:1.0, release 1, signed by {there.signed.key_id}",
        "dataset": "roads-7",
    }


async def test_withdrawn_bytes_leave_in_no_archive(fleet: Fleet, tmp_path: Path, name: str) -> None:
    version = await push(fleet, tmp_path, name, "1.0")
    await fleet.curation.withdraw(f"{name}:1.0", reason="sees ghosts")

    with pytest.raises(RefusedError, match="sees ghosts"):
        await export_version(fleet.connection, version.manifest.model, tmp_path / "x.tar")
    assert not list(tmp_path.glob("x.tar*"))


async def test_the_registry_preflights_what_it_published(
    fleet: Fleet, tmp_path: Path, name: str
) -> None:
    await push(fleet, tmp_path, name, "1.0")
    await fleet.curation.require_gates(name, "production", ("preflight",))
    with pytest.raises(RefusedError, match="the gate preflight is missing: it had no preflight"):
        await fleet.move_alias(name, "production", "1.0")

    ran = (await fleet.curation.preflight(f"{name}:1.0")).preflight

    assert ran.passed, ran.reason
    await fleet.move_alias(name, "production", "1.0")
