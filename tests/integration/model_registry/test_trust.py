"""What the registry publishes is signed for robots in the same moment, and follows its roots."""

from __future__ import annotations

import asyncio
from datetime import datetime, timezone
from pathlib import Path
from secrets import token_bytes
from uuid import uuid4

import pytest
from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.errors import NoAnswerError, RefusedError
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.client import Fleet
from fleetward.contracts.ids import ModelName, ModelRef, RobotId, Version
from fleetward.contracts.robots import RobotEnrolled
from fleetward.contracts.rows import Principal
from fleetward.contracts.trust import NONCE_BYTES, PublishRoot, RootPublished, TrustRefreshed
from fleetward.trust.ceremony import root_key_paths
from fleetward.trust.errors import NotFreshError
from fleetward.trust.floors import Anchor
from fleetward.trust.following import Kept, enrolled, follow, listed_in, question
from fleetward.trust.roles import ROOT, TIMESTAMP
from fleetward.trust.roots import next_root, plan_of, sign_root
from fleetward.trust.signing import SigningKey, TrustedKeys
from testkit.servers import NatsSystem
from tests.integration.model_registry import graphs

ROBOT = RobotId("r1")
NOON = datetime(2026, 5, 4, 12, tzinfo=timezone.utc)


@pytest.fixture
def name() -> ModelName:
    """A model name that no other test of the module uses."""
    return ModelName(f"m-{uuid4().hex[:12]}")


@pytest.fixture
async def robot(shared_nats_system: NatsSystem) -> Client:
    return await shared_nats_system.connect(ROBOT)


@pytest.fixture
def kept(registry_directory: Path) -> Kept:
    """What a robot has that was enrolled with the first root."""
    return enrolled(Anchor(root=(registry_directory / "root.json").read_bytes()))


async def refreshed(robot: Client, kept: Kept, name: ModelName) -> Kept:
    asked = question(kept, ROBOT, token_bytes(NONCE_BYTES), name)
    answer: TrustRefreshed = await ask(robot, asked)
    return follow(kept, asked, answer)


async def push(fleet: Fleet, directory: Path, name: str, version: str) -> None:
    bias = int(uuid4().hex[:6], 16) / 7.0
    path = graphs.saved(graphs.good_model(bias), directory / f"{name}-{version}.onnx")
    await fleet.push_model(path, name, version)


async def test_what_is_published_is_listed_and_what_is_withdrawn_no_more(
    fleet: Fleet, robot: Client, kept: Kept, tmp_path: Path, name: ModelName
) -> None:
    for version in ("1", "2"):
        await push(fleet, tmp_path, name, version)
    kept = await refreshed(robot, kept, name)
    published = await fleet.model(f"{name}:2")
    listed = listed_in(kept, ModelRef(name, Version("2")))
    assert listed is not None
    assert (listed.digest, listed.release) == (published.manifest.digest, 2)
    assert listed.describes(published.signed.payload)

    await fleet.curation.withdraw(f"{name}:1", reason="it sees ghosts")

    kept = await refreshed(robot, kept, name)
    assert listed_in(kept, ModelRef(name, Version("1"))) is None
    assert listed_in(kept, ModelRef(name, Version("2"))) is not None


async def test_a_robot_is_told_the_labels_that_it_is_enrolled_with_if_it_asks(
    shared_nats_system: NatsSystem, fleet: Fleet, kept: Kept, name: ModelName
) -> None:
    labelled = RobotId("labelled")
    robot = await shared_nats_system.connect(labelled)
    enroller = await shared_nats_system.connect(Principal.ENROLLER)

    async def told(kept: Kept, model: ModelName | None) -> Kept:
        asked = question(kept, labelled, token_bytes(NONCE_BYTES), model)
        answer: TrustRefreshed = await ask(robot, asked)
        return follow(kept, asked, answer)

    assert (await told(kept, name)).labels is None, "nobody enrolled it"
    for labels in ({"site": "berlin"}, {"site": "kyoto"}):
        event = RobotEnrolled(robot_id=labelled, labels=labels, enrolled_at=NOON)
        await publish(enroller, event)
        kept = await told(kept, None)
        assert kept.labels == labels
    await publish(enroller, RobotEnrolled(robot_id=labelled, enrolled_at=NOON))
    assert (await told(kept, name)).labels == {"site": "kyoto"}, "it did not ask again"


async def test_models_published_at_once_are_all_listed(
    fleet: Fleet, robot: Client, kept: Kept, tmp_path: Path, name: ModelName
) -> None:
    names = [ModelName(f"{name}-{number}") for number in range(4)]
    await asyncio.gather(*(push(fleet, tmp_path, one, "1") for one in names))
    for one in names:
        kept = await refreshed(robot, kept, one)
        assert listed_in(kept, ModelRef(one, Version("1"))) is not None


async def test_a_new_root_is_followed_once_enough_keys_signed_it(
    fleet: Fleet,
    robot: Client,
    kept: Kept,
    tmp_path: Path,
    name: ModelName,
    registry_directory: Path,
) -> None:
    await push(fleet, tmp_path, name, "1")
    kept = await refreshed(robot, kept, name)
    owners = [SigningKey.load(path) for path in root_key_paths(registry_directory / "root")]
    heir = SigningKey.create(tmp_path / "heir.key")
    plan = plan_of(kept.root)
    plan = replace(plan, keys={**plan.keys, ROOT: (*plan.keys[ROOT][1:], heir.public_bytes)})
    half = sign_root(next_root(kept.root, plan), owners[1])
    whole = sign_root(sign_root(half, heir), owners[0])

    with pytest.raises(RefusedError, match="root v2 needs 1 more of"):
        await ask(fleet.connection, PublishRoot(metadata=half))
    for _ in range(2):  # a second time is harmless
        published: RootPublished = await ask(fleet.connection, PublishRoot(metadata=whole))
        assert published.version == 2

    followed = await refreshed(robot, kept, name)
    assert followed.root == whole
    assert listed_in(followed, ModelRef(name, Version("1"))) is not None


async def test_a_root_that_names_a_key_the_registry_lacks_is_refused(
    fleet: Fleet,
    robot: Client,
    kept: Kept,
    tmp_path: Path,
    name: ModelName,
    registry_directory: Path,
) -> None:
    root = (await refreshed(robot, kept, name)).root
    stranger = SigningKey.create(tmp_path / "stranger.key")
    plan = plan_of(root)
    following = next_root(
        root, replace(plan, keys={**plan.keys, TIMESTAMP: (stranger.public_bytes,)})
    )
    for path in root_key_paths(registry_directory / "root"):
        following = sign_root(following, SigningKey.load(path))
    with pytest.raises(RefusedError, match="no such key is at hand"):
        await ask(fleet.connection, PublishRoot(metadata=following))
    assert (await refreshed(robot, kept, name)).root == root


async def test_one_robot_s_answer_convinces_no_other(
    shared_nats_system: NatsSystem,
    registry: TrustedKeys,
    robot: Client,
    kept: Kept,
    name: ModelName,
) -> None:
    assert registry is not None
    asked = question(kept, ROBOT, token_bytes(NONCE_BYTES), None)
    other = await shared_nats_system.connect("r2")
    with pytest.raises(NoAnswerError):
        await ask(other, asked, timeout_s=0.5)
    answer: TrustRefreshed = await ask(robot, asked)
    with pytest.raises(NotFreshError, match="another question, of r1"):
        follow(kept, replace(asked, robot_id=RobotId("r2")), answer)
