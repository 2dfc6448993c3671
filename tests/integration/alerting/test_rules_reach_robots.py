"""Alerting sends robots its rule files, signed: as they change, and not because it starts."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from nats.aio.msg import Msg

from fleetward.bus.deliveries import decode_from
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.catalog import row_of
from fleetward.contracts.codec import decode, encode
from fleetward.contracts.rows import Principal
from fleetward.contracts.rule_sets import RuleSet, RuleSetSigned
from fleetward.rules.compilation import load_rulebook
from fleetward.rules.rule_sets import critical, understood
from fleetward.trust.signing import RULE_SET, SignatureError, SigningKey, TrustedKeys
from tests.integration.alerting.rig import Rig

RULE = b"""groups: [{name: own, rules: [
  {alert: Own, expr: 'link_rtt_seconds > 1', labels: {severity: critical}},
  {alert: Mild, expr: 'link_rtt_seconds > 0.5'},
]}]"""
WAIT_S = 30.0


def put(rules: Path, content: bytes) -> None:
    """At once: alerting may be reading."""
    partial = rules / "own.partial"
    partial.write_bytes(content)
    partial.replace(rules / "own.yml")


class Listening:
    """A robot that hears which rules it is to judge by."""

    def __init__(self, key: SigningKey) -> None:
        self._trusted = TrustedKeys.of({RULE_SET: [key.public_bytes]})
        self._heard: asyncio.Queue[RuleSet] = asyncio.Queue()

    async def begin(self, rig: Rig) -> None:
        robot = await rig.system.connect("r1")
        await robot.subscribe(row_of(RuleSetSigned).subject, cb=self._hear)
        await robot.flush()

    async def next(self) -> RuleSet:
        return await asyncio.wait_for(self._heard.get(), WAIT_S)

    @property
    def nothing_more(self) -> bool:
        return self._heard.empty()

    async def _hear(self, message: Msg) -> None:
        signed = decode_from(message.subject, message.data)
        assert isinstance(signed, RuleSetSigned)
        with suppress(SignatureError):
            self._trusted.verify(RULE_SET, signed.payload, signed.key_id, signed.signature)
            self._heard.put_nowait(decode(signed.payload, RuleSet))


async def test_robots_hear_the_critical_rules_and_each_change_once(
    rig: Rig, tmp_path: Path
) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    put(rules, RULE)
    key = SigningKey.create(tmp_path / "rules.key")
    robot = Listening(key)
    await robot.begin(rig)

    first = await rig.alerting(rules, signing_key=tmp_path / "rules.key")
    sent = await robot.next()
    assert understood(sent).rulebook.rules == critical(load_rulebook(rules)).rules
    assert [each.alert for each in sent.rules] == ["Own"]

    await first.stop()
    second = await rig.alerting(rules, signing_key=tmp_path / "rules.key")
    put(rules, RULE.replace(b"> 0.5", b"> 0.6"))  # no robot judges by it
    second.reload()
    put(rules, RULE.replace(b"> 1", b"> 2"))
    second.reload()
    changed = await robot.next()
    assert changed.revision > sent.revision
    assert changed.rules != sent.rules

    put(rules, RULE.replace(b"> 1", b"> ("))  # refused: those before count
    second.reload()
    put(rules, b"groups: []")
    second.reload()
    none = await robot.next()
    assert none.rules == ()
    assert robot.nothing_more


async def test_a_set_that_somebody_else_wrote_is_replaced_at_the_next_start(
    rig: Rig, tmp_path: Path
) -> None:
    key, other = (SigningKey.create(tmp_path / f"{name}.key") for name in ("rules", "other"))
    robot = Listening(key)
    await robot.begin(rig)
    first = await rig.alerting(signing_key=tmp_path / "rules.key")
    sent = await robot.next()
    await first.stop()
    connection = await rig.system.connect(Principal.ALERTING)
    payload = encode(sent)
    forged = other.sign(RULE_SET, payload)
    await publish(
        connection,
        RuleSetSigned(payload=payload, key_id=forged.key_id, signature=forged.signature),
    )
    await rig.alerting(signing_key=tmp_path / "rules.key")
    assert (await robot.next()).rules == sent.rules


async def test_without_a_key_robots_are_sent_no_rules(rig: Rig) -> None:
    await rig.alerting()
    operator = await rig.system.connect(Principal.OPERATOR)
    assert await last_value(operator, RuleSetSigned) is None
