"""A whole system whose keys are stolen, replaced, and whose registry is silent when it is needed."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fleetward.bus.connection import BusSettings, close, connect
from fleetward.bus.publish import publish
from fleetward.bus.requests import ask
from fleetward.cli.key_files import create_key
from fleetward.client.access import read_access
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import Digest, ModelRef, Version, robot_id, rollout_id
from fleetward.contracts.robots import RobotNudged, RobotTarget, SignedTarget
from fleetward.contracts.rollouts import RolloutState, Strategy
from fleetward.contracts.rows import Principal
from fleetward.local.authority import development_root_keys_of, online_keys_of, root_of
from fleetward.local.enrolment import enrol
from fleetward.local.home import Home
from fleetward.local.programs import Robot, commands_key
from fleetward.trust.identities import Identities
from fleetward.trust.nats_jwt import KeyPair, credentials, key_in
from fleetward.trust.renewals import confirmation, renewal_asked
from fleetward.trust.roles import COMMANDS, ONLINE_ROLES, ROOT
from fleetward.trust.roots import RootPlan, plan_of
from fleetward.trust.rotation import shown_id
from fleetward.trust.signing import TARGET, SigningKey
from model_registry.listings import FALLBACK_RELEASES
from testkit.command_line import run
from tests.faults.conftest import Fleetward
from tests.faults.fleet_facts import check_in, eventually, serves, serves_on, target

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

ROBOT = robot_id("robot-1")
CUT_WITHIN_S = 30.0


async def given(system: Fleetward, version: str) -> RolloutState:
    """Roll ``version`` out to everybody at once; how it ended."""
    rollout = await system.start(version, Strategy.ALL_AT_ONCE)
    return (await system.fleet.wait_rollout(rollout.rollout_id, timeout_s=90)).state


async def commanded(
    system: Fleetward, model: ModelRef, digest: Digest, key: SigningKey
) -> RobotTarget:
    """Write a newer target for ROBOT, as somebody does who has the coordinator's rights and ``key``."""
    newest = await target(system, ROBOT)
    assert newest is not None
    forged = RobotTarget(
        robot_id=ROBOT,
        generation=newest.generation + 1,
        rollout_id=rollout_id("forged"),
        model=model,
        digest=digest,
        issued_at=datetime.now(timezone.utc),
    )
    payload = encode(forged)
    signed = key.sign(TARGET, payload)
    intruder = await connect(read_access(system.system.home.path, Principal.COORDINATOR).bus)
    await publish(
        intruder,
        SignedTarget(
            robot_id=ROBOT, payload=payload, key_id=signed.key_id, signature=signed.signature
        ),
    )
    await publish(intruder, RobotNudged(robot_id=ROBOT))
    await close(intruder)
    return forged


async def failure(system: Fleetward, words: str) -> str:
    """Wait until ROBOT's last activation failed for a reason that holds ``words``."""

    async def look() -> str | None:
        (status,) = [one for one in await system.fleet.robots() if one.enrolled.robot_id == ROBOT]
        return status.failure if status.failure and words in status.failure else None

    return await eventually(look)


async def test_director_compromised_alone_commands_only_what_the_registry_lists(
    fleetward: Fleetward,
) -> None:
    stolen = SigningKey.load(commands_key(fleetward.system.home))
    builds = [await fleetward.publish_build(number) for number in range(FALLBACK_RELEASES + 2)]
    assert await given(fleetward, builds[-1]) is RolloutState.SUCCEEDED
    said = await serves(fleetward, ROBOT, builds[-1])
    published = {
        build: (await fleetward.fleet.model(f"text-detector:{build}")).manifest
        for build in (builds[0], builds[-2])
    }

    evil = Digest("sha256:" + "e" * 64)
    never = ModelRef(published[builds[0]].model.name, Version("evil"))
    await commanded(fleetward, never, evil, stolen)
    await failure(fleetward, "does not list text-detector:evil")

    await commanded(fleetward, published[builds[0]].model, evil, stolen)
    await failure(fleetward, "and the registry lists")

    oldest = published[builds[0]]
    await commanded(fleetward, oldest.model, oldest.digest, stolen)
    await failure(fleetward, "the registry does not permit the way back")

    withdrawn = published[builds[-2]]
    await fleetward.fleet.curation.withdraw(str(withdrawn.model), reason="it sees ghosts")
    await commanded(fleetward, withdrawn.model, withdrawn.digest, stolen)
    await failure(fleetward, "withdrawn")

    await serves_on(fleetward, ROBOT)
    still = await check_in(fleetward, ROBOT)
    assert still is not None
    assert still.active_digest == said.active_digest
    assert {evil, oldest.digest, withdrawn.digest}.isdisjoint(still.cached_digests)


async def test_going_back_needs_no_registry_and_moves_no_byte(fleetward: Fleetward) -> None:
    good, newer = await fleetward.publish_build(100), await fleetward.publish_build(101)
    assert await given(fleetward, good) is RolloutState.SUCCEEDED
    assert await given(fleetward, newer) is RolloutState.SUCCEEDED
    before = await serves(fleetward, ROBOT, newer)
    fleetward.system.kill("model-registry", signal.SIGSTOP)
    try:
        assert await given(fleetward, good) is RolloutState.SUCCEEDED
        after = await serves(fleetward, ROBOT, good)
        assert after.bytes_fetched == before.bytes_fetched
    finally:
        fleetward.system.kill("model-registry", signal.SIGCONT)


async def test_every_key_is_rotated_and_the_old_ones_command_nobody(
    fleetward: Fleetward, tmp_path: Path
) -> None:
    home = fleetward.system.home
    plan = plan_of(root_of(home).read_bytes())
    stolen = SigningKey.load(commands_key(home))
    good = await fleetward.publish_build(200)
    assert await given(fleetward, good) is RolloutState.SUCCEEDED
    said = await serves(fleetward, ROBOT, good)

    await root_replaced(home, plan, tmp_path)

    # Who holds the old key of the coordinator commands nobody any more.
    other = (await fleetward.fleet.model("text-detector:build-101")).manifest
    await commanded(fleetward, other.model, other.digest, stolen)
    log = home.log("edge-bridge.robot-1")

    async def distrusted() -> bool:
        return f"key '{stolen.key_id}' is not trusted for 'target'" in log.read_text()

    await eventually(distrusted)
    still = await check_in(fleetward, ROBOT)
    assert still is not None
    assert (still.active_digest, still.generation) == (said.active_digest, said.generation)

    await coordinator_goes_over(fleetward, tmp_path / f"{COMMANDS}.key", stolen)
    build = await fleetward.publish_build(201)
    assert await given(fleetward, build) is RolloutState.SUCCEEDED
    newest = await serves(fleetward, ROBOT, build)
    assert newest.trust_version > said.trust_version


async def root_replaced(home: Home, plan: RootPlan, directory: Path) -> None:
    """Two people make the next root: one root key and every online key is replaced."""
    first, second, words = root_of(home), directory / "2.root.json", list[str]()
    for role in (ROOT, COMMANDS, *ONLINE_ROLES):
        create_key(directory / f"{role}.key", None)
        words += ["--add", f"{role}={directory / f'{role}.pub'}"]
        words += ["--remove", shown_id(plan.keys[role][0])]
    await keys("rotate", first, "--out", second, *words)
    for role in ONLINE_ROLES:
        shutil.copy(directory / f"{role}.key", online_keys_of(home) / f"new-{role}.key")
    with pytest.raises(AssertionError, match="root v2 needs"):
        await keys("publish-root", second, "--home", home.path)
    owners = [development_root_keys_of(home) / f"root-{number}.key" for number in (2, 3)]
    signing = [word for key in (*owners, directory / "root.key") for word in ("--key", key)]
    assert (await keys("sign-root", second, *signing, "--previous", first))["missing"] == ""
    await keys("publish-root", second, "--home", home.path)
    assert (await keys("list", "--home", home.path))["version"] == 2


async def coordinator_goes_over(fleetward: Fleetward, key: Path, old: SigningKey) -> None:
    """Give the coordinator its new key and start it again."""
    home = fleetward.system.home
    running = fleetward.system.process("rollout-coordinator")
    shutil.copy(key, commands_key(home))
    commands_key(home)  # its public half where the coordinator looks for it
    with (home.trust / "target.pub").open("a") as trusted:
        trusted.write(old.public_bytes.hex() + "\n")  # it wrote the targets that stand
    fleetward.system.kill("rollout-coordinator")
    await fleetward.system.ready("rollout-coordinator", after_pid=running.pid or 0)


async def keys(*words: str | Path) -> dict[str, Any]:
    """Run ``fleetward keys``; what it printed as JSON. An AssertionError holds what it refused."""
    ran = await run({}, "keys", *map(str, words), "--json")
    assert ran.code == 0, ran.complaint
    shown: dict[str, Any] = json.loads(ran.output)
    return shown


async def test_a_key_that_a_robot_replaced_is_void_in_the_whole_system_by_itself(
    fleetward: Fleetward,
) -> None:
    """The registry issues, and who holds the issuer's keys hears of it; nobody else does anything."""
    home, name = fleetward.system.home, robot_id("newcomer")
    identities = Identities(home.keys, home.credentials)
    enroller = await connect(bus_of(fleetward, Principal.ENROLLER.value, identities))
    await enrol(enroller, [Robot(robot_id=name, labels={})], identities)
    await close(enroller)
    cut, bus = asyncio.Event(), bus_of(fleetward, name, identities)

    async def over() -> None:
        cut.set()

    robot, coming = await connect(bus, on_closed=over), KeyPair.create("user")
    held = key_in(bus.credentials.read_text())
    renewed = await ask(robot, renewal_asked(name, held, coming))
    copy = home.path / "newcomer.creds"
    copy.write_bytes(credentials(renewed.token, coming))
    second = await connect(replace(bus, credentials=copy))
    assert not cut.is_set(), "both count until the new one is confirmed"
    await ask(second, confirmation(name, coming))
    await asyncio.wait_for(cut.wait(), CUT_WITHIN_S)
    assert second.is_connected
    await close(second)


def bus_of(system: Fleetward, name: str, identities: Identities) -> BusSettings:
    """How ``name`` connects, with what the issuer of the system gave it."""
    is_robot = name not in {each.value for each in Principal}
    path = identities.issue_robot(name) if is_robot else identities.issue(Principal(name))
    return BusSettings(url=system.system.nats_url, credentials=path, name=name)
