"""``alert rules`` and ``robot show``: which rules the hub sent, whether robots believe them, who judges by which."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from fleetward.bus.publish import publish
from fleetward.contracts.codec import encode
from fleetward.contracts.ids import BootId, Digest, RobotId
from fleetward.contracts.robots import RobotCheckedIn, RobotEnrolled
from fleetward.contracts.rows import Principal, StreamName
from fleetward.contracts.rule_sets import (
    RuleSet,
    RuleSetGaveWay,
    RuleSetSigned,
    RuleSource,
    RulesStanding,
)
from fleetward.contracts.trust import RootPublished
from fleetward.rules.compilation import compile_rulebook
from fleetward.rules.rule_sets import compiled, digest_of
from fleetward.trust.roles import COMMANDS, RULES
from fleetward.trust.signing import RULE_SET, SigningKey
from testkit.authority import Authority
from testkit.servers import NatsSystem
from tests.integration.client.test_command_line import fleetward

NOW = datetime.now(timezone.utc)
RULE = b"groups: [{name: own, rules: [{alert: Own, expr: a > 1, labels: {severity: critical}}]}]"
RULES_SENT = compiled(compile_rulebook([("own.yml", RULE)]))
DIGEST = digest_of(RULES_SENT, 300.0)
OTHER = Digest("sha256:" + "b" * 64)


async def sent_by(system: NatsSystem, key: SigningKey) -> None:
    payload = encode(RuleSet(revision=7, lookback_s=300.0, rules=RULES_SENT, issued_at=NOW))
    signature = key.sign(RULE_SET, payload)
    signed = RuleSetSigned(payload=payload, key_id=signature.key_id, signature=signature.signature)
    await publish(await system.connect(Principal.ALERTING), signed)


async def robot_says(system: NatsSystem, name: str, rules: RulesStanding | None) -> None:
    robot = RobotId(name)
    enroller = await system.connect(Principal.ENROLLER)
    await publish(enroller, RobotEnrolled(robot_id=robot, enrolled_at=NOW))
    said = RobotCheckedIn(
        robot_id=robot, boot_id=BootId("b1"), sequence=1, rules=rules, checked_in_at=NOW
    )
    await publish(await system.connect(name), said)


async def test_an_operator_sees_the_rules_and_who_judges_by_them(
    nats_system: NatsSystem, home_of: Callable[[NatsSystem], Path], tmp_path: Path
) -> None:
    home = home_of(nats_system)
    assert "sent robots no rules" in (await fleetward(home, "alert", "rules")).output
    authority = Authority(tmp_path)
    registry = await nats_system.connect(Principal.REGISTRY)
    await publish(registry, RootPublished(version=1, metadata=authority.root))
    hub, file = RuleSource.HUB, RuleSource.FILE
    await sent_by(nats_system, authority.keys[RULES][0])
    await robot_says(nats_system, "follows", RulesStanding(source=hub, digest=DIGEST, revision=7))
    await robot_says(nats_system, "alike", RulesStanding(source=file, digest=DIGEST))
    trouble = "the rules of revision 3 are older"
    behind = RulesStanding(source=hub, digest=OTHER, revision=5, trouble=trouble)
    await robot_says(nats_system, "behind", behind)
    await robot_says(nats_system, "old", None)

    told = (await fleetward(home, "alert", "rules")).output
    assert "✓" in told
    assert "2 by these, 1 by others, 1 by none" in told
    assert "Own" in told
    assert "a > 1" in told
    plain = json.loads((await fleetward(home, "alert", "rules", "--json")).output)
    assert plain["sent"]["digest"] == DIGEST
    assert plain["robots"] == {"by_these": 2, "by_others": 1, "by_none": 1}

    async def shown(robot: str) -> str:
        return (await fleetward(home, "robot", "show", robot)).output

    beginning = DIGEST.removeprefix("sha256:")[:12]
    assert f"rules         {beginning}, the same as the hub's" in await shown("follows")
    assert f"{beginning}, of a file on the robot, the same as the hub's" in await shown("alike")
    assert f"bbbbbbbbbbbb, not the hub's of today\n  trouble     {trouble}" in await shown("behind")
    assert "rules" not in await shown("old")
    assert trouble in (await fleetward(home, "robot", "list")).output

    await sent_by(nats_system, authority.keys[COMMANDS][0])
    told = (await fleetward(home, "alert", "rules")).output
    assert "✗ robots refuse it: key" in told


async def test_an_operator_sees_that_another_alerting_has_other_rules_while_the_set_is_there_that_it_gave_way_to(
    nats_system: NatsSystem, home_of: Callable[[NatsSystem], Path], tmp_path: Path
) -> None:
    home, alerting = home_of(nats_system), await nats_system.connect(Principal.ALERTING)
    await sent_by(nats_system, Authority(tmp_path).keys[RULES][0])
    told = {}
    for revision in (6, 7):
        gave_way = RuleSetGaveWay(digest=OTHER, rules=1, to_revision=revision, found_at=NOW)
        await publish(alerting, gave_way)
        told[revision] = (await fleetward(home, "alert", "rules")).output
    assert "another alerting" not in told[6]
    assert "another alerting judges by bbbbbbbbbbbb" in told[7]


async def test_a_robot_is_shown_although_what_was_sent_cannot_be_read(
    nats_system: NatsSystem, home_of: Callable[[NatsSystem], Path]
) -> None:
    """As of a hub from before there were rules to send, whose stream for them is not there."""
    home = home_of(nats_system)
    await robot_says(nats_system, "follows", RulesStanding(source=RuleSource.HUB, digest=DIGEST))
    forged = RuleSetSigned(payload=b"no set", key_id="", signature=b"")
    await publish(await nats_system.connect(Principal.ALERTING), forged)
    shown = await fleetward(home, "robot", "show", "follows")
    assert "seen" in shown.output
    assert "the hub's cannot be read: 6 bytes are not a RuleSet" in shown.output

    provisioner = await nats_system.connect(Principal.PROVISIONER)
    await provisioner.jetstream().delete_stream(StreamName.RULES.value)
    shown = await fleetward(home, "robot", "show", "follows")
    assert "the hub's cannot be read: the server did not answer" in shown.output
