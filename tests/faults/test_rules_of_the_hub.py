"""The rule files of a whole system reach its robots, whoever is killed, and nobody else's do."""

from __future__ import annotations

import signal
from datetime import datetime, timezone

import pytest

from fleetward.bus.connection import BusSettings, close, connect
from fleetward.bus.publish import publish
from fleetward.client.rules import SentRules, sent_rules
from fleetward.contracts.codec import encode
from fleetward.contracts.event import Event
from fleetward.contracts.ids import BootId
from fleetward.contracts.rows import Principal
from fleetward.contracts.rule_sets import RuleSet, RuleSetSigned, RuleSource, RulesStanding
from fleetward.local.authority import rules_key_of
from fleetward.local.programs import commands_key
from fleetward.trust.identities import Identities
from fleetward.trust.signing import RULE_SET, SigningKey
from tests.faults.conftest import ROBOTS, Fleetward
from tests.faults.fleet_facts import check_in, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

EVERY_ROBOT = [f"robot-{number}" for number in range(1, ROBOTS + 1)]
OWN = """groups: [{name: own, rules: [
  {alert: Own, expr: 'link_rtt_seconds > NUMBER', labels: {severity: critical}}]}]"""


async def by_alerting(system: Fleetward, fact: Event) -> None:
    """As whoever has alerting's credentials, which are not its key."""
    home = system.system.home
    credentials = Identities(home.keys, home.credentials).issue(Principal.ALERTING)
    connection = await connect(
        BusSettings(
            url=system.system.nats_url, credentials=credentials, name=Principal.ALERTING.value
        )
    )
    await publish(connection, fact)
    await close(connection)


async def sent(system: Fleetward, holding: str) -> SentRules:
    """What the hub sent, once that holds a rule of this name."""

    async def look() -> SentRules | None:
        found = await sent_rules(system.fleet.connection)
        names = [rule.alert for rule in found.rules] if found else []
        return found if holding in names else None

    return await eventually(look)


async def judges(system: Fleetward, robot: str, rules: SentRules) -> tuple[RulesStanding, BootId]:
    """What a robot says, once it judges itself by these."""

    async def look() -> tuple[RulesStanding, BootId] | None:
        said = await check_in(system, robot)
        if said is None or said.rules is None or said.rules.digest != rules.digest:
            return None
        return said.rules, said.boot_id

    return await eventually(look)


async def refused(system: Fleetward, robot: str, why: str) -> RulesStanding:
    """What a robot says, once it refused a set for this reason."""

    async def look() -> RulesStanding | None:
        said = await check_in(system, robot)
        rules = said.rules if said else None
        return rules if rules is not None and why in rules.trouble else None

    return await eventually(look)


def reload(system: Fleetward, number: float) -> None:
    path = system.system.home.rules / "own.yml"
    partial = path.with_suffix(".partial")
    partial.write_text(OWN.replace("NUMBER", f"{number:g}"))
    partial.replace(path)
    system.system.kill("alerting", signal.SIGHUP)


async def test_every_robot_judges_by_the_files_of_the_hub_and_follows_them(
    fleetward: Fleetward,
) -> None:
    shipped = await sent(fleetward, "InferenceErrors")
    assert shipped.refused == ""
    for robot in EVERY_ROBOT:
        said, _ = await judges(fleetward, robot, shipped)
        assert (said.source, said.trouble) == (RuleSource.HUB, "")
    reload(fleetward, 10)
    changed = await sent(fleetward, "Own")
    assert changed.revision > shipped.revision
    for robot in EVERY_ROBOT:
        await judges(fleetward, robot, changed)


@pytest.mark.parametrize("process", ["alerting", "nats-server", "edge-bridge.robot-1"])
async def test_rules_survive_kill_9_of(fleetward: Fleetward, process: str) -> None:
    before = await sent(fleetward, "Own")
    _, boot = await judges(fleetward, EVERY_ROBOT[0], before)
    pid = fleetward.system.kill(process)
    await fleetward.system.ready(process, after_pid=pid)
    if process.startswith("edge-bridge"):

        async def another_boot() -> bool:
            said = await check_in(fleetward, EVERY_ROBOT[0])
            return said is not None and said.boot_id != boot

        await eventually(another_boot)
    said, _ = await judges(fleetward, EVERY_ROBOT[0], before)
    assert said.revision == before.revision, "nobody sent them again"
    reload(fleetward, 20 + len(process))
    await judges(fleetward, EVERY_ROBOT[0], await after(fleetward, before.revision))


def no_rules(key: SigningKey, revision: int) -> RuleSetSigned:
    """What would have robots judge themselves by nothing."""
    now = datetime.now(timezone.utc)
    payload = encode(RuleSet(revision=revision, lookback_s=300.0, rules=(), issued_at=now))
    signature = key.sign(RULE_SET, payload)
    return RuleSetSigned(payload=payload, key_id=signature.key_id, signature=signature.signature)


async def after(system: Fleetward, revision: int) -> SentRules:
    """What the hub sent, once that is newer."""

    async def look() -> SentRules | None:
        found = await sent_rules(system.fleet.connection)
        return found if found is not None and found.revision > revision else None

    return await eventually(look)


async def test_rules_that_alerting_did_not_sign_or_signed_before_are_refused(
    fleetward: Fleetward,
) -> None:
    home, current = fleetward.system.home, await sent(fleetward, "Own")
    coordinator, alerting = commands_key(home), rules_key_of(home)
    fleetward.system.kill("alerting", signal.SIGSTOP)  # it would put its own back
    for path, revision, why in (
        (coordinator, current.revision + 1, "is not trusted for 'rule-set'"),
        (alerting, current.revision - 1, "older than those that this robot has"),
    ):
        await by_alerting(fleetward, no_rules(SigningKey.load(path), revision))
        for robot in EVERY_ROBOT:
            assert (await refused(fleetward, robot, why)).digest == current.digest
    fleetward.system.kill("alerting", signal.SIGCONT)
    reload(fleetward, 1)
    put_back = await after(fleetward, current.revision)
    for robot in EVERY_ROBOT:
        said, _ = await judges(fleetward, robot, put_back)
        assert said.trouble == ""
