"""Two alertings with other rule files: whoever has new rules sends them, and nobody takes them back by itself."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import pytest
from nats.aio.client import Client

from alerting.clock import Clock
from alerting.rule_sets import RuleSets, signed
from fleetward.bus.errors import PublishError
from fleetward.bus.history import history
from fleetward.bus.last_values import last_value
from fleetward.bus.publish import publish
from fleetward.contracts.codec import decode
from fleetward.contracts.rows import Principal
from fleetward.contracts.rule_sets import RuleSet, RuleSetGaveWay, RuleSetSigned
from fleetward.rules.compilation import compile_rulebook
from fleetward.rules.rule_sets import compiled, critical, digest_of
from fleetward.rules.rulebook import Rulebook
from fleetward.trust.signing import SigningKey
from tests.integration.alerting.rig import Rig

LOOKBACK_S = 300.0


def rules_over(bound: int) -> Rulebook:
    text = f"groups: [{{name: own, rules: [{{alert: Own, expr: a > {bound}, labels: {{severity: critical}}}}]}}]"
    return compile_rulebook([("own.yml", text.encode())])


class Pair:
    """Two alertings with one key, as they are when each is started, and what is there."""

    def __init__(self, alerting: Client, operator: Client, key: SigningKey) -> None:
        self.connection, self._operator, self.key = alerting, operator, key
        self.one, self.other = self.started(1), self.started(2)

    def started(self, bound: int) -> RuleSets:
        return RuleSets(self.connection, self.key, rules_over(bound), LOOKBACK_S, Clock())

    async def there(self) -> RuleSet:
        value = await last_value(self.connection, RuleSetSigned)
        assert value is not None
        return decode(value.event.payload, RuleSet)

    async def gave_way(self) -> list[RuleSetGaveWay]:
        return [each async for each in history(self._operator, RuleSetGaveWay)]


async def pair_of(rig: Rig, directory: Path) -> Pair:
    key = SigningKey.create(directory / "rules.key")
    alerting = await rig.system.connect(Principal.ALERTING)
    pair = Pair(alerting, await rig.system.connect(Principal.OPERATOR), key)
    await pair.one.look()
    await pair.other.look()
    return pair


async def test_rules_that_another_alerting_sent_are_not_taken_back_and_that_is_said_once(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = await pair_of(rig, tmp_path)
    sent = await pair.there()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await pair.one.look()
            await pair.other.look()

    assert await pair.there() == sent
    (told,) = await pair.gave_way()
    assert (told.to_revision, told.rules) == (sent.revision, 1)
    assert told.digest != digest_of(sent.rules, sent.lookback_s)
    assert [each.getMessage().split()[0] for each in caplog.records] == ["rules.replaced"]

    await pair.started(1).look()
    back = await pair.there()
    assert digest_of(back.rules, back.lookback_s) == told.digest, "who is started anew sends"


async def test_rules_that_changed_are_sent_in_the_place_of_another_alertings(
    rig: Rig, tmp_path: Path
) -> None:
    pair = await pair_of(rig, tmp_path)
    sent = await pair.there()
    await pair.one.look()

    pair.one.use(rules_over(1))
    await pair.one.look()
    assert await pair.there() == sent, "they are the same as before"

    pair.one.use(rules_over(3))
    await pair.one.look()
    assert (await pair.there()).revision > sent.revision


class AnswersLost:
    """A connection on which whatever is published is stored, and nobody says so in time."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def jetstream(self) -> AnswersLost:
        return self

    async def publish(
        self,
        subject: str,
        payload: bytes,
        timeout: float,  # noqa: ASYNC109 (as JetStream has it)
        stream: str,
        headers: dict[str, str],
    ) -> None:
        await self._connection.jetstream().publish(subject, payload, timeout, stream, headers)
        raise TimeoutError


async def test_rules_that_are_changed_back_are_sent_again_where_nobody_said_that_the_others_arrived(
    rig: Rig, tmp_path: Path
) -> None:
    pair = await pair_of(rig, tmp_path)
    pair.other._connection = cast("Client", AnswersLost(pair.connection))
    pair.other.use(rules_over(3))
    with pytest.raises(PublishError):
        await pair.other.look()
    pair.other._connection = pair.connection
    pair.other.use(rules_over(2))

    await pair.other.look()

    assert (await pair.there()).rules == compiled(critical(rules_over(2)))
    assert not await pair.gave_way()


async def test_an_older_set_that_somebody_repeats_is_replaced(rig: Rig, tmp_path: Path) -> None:
    pair = await pair_of(rig, tmp_path)
    sent = await pair.there()
    older = RuleSet(
        revision=sent.revision - 1, lookback_s=LOOKBACK_S, rules=(), issued_at=sent.issued_at
    )
    await publish(pair.connection, signed(older, pair.key))

    await pair.other.look()

    now = await pair.there()
    assert (now.rules, now.revision) == (sent.rules, sent.revision + 1)
    assert not await pair.gave_way()
