"""Sends robots the rules by which they judge themselves: signed, kept on the bus, one set for all.

Only critical rules go: no others take a model back. A set is sent when it differs from the one that is
there, so that a start changes nothing on any robot. It is sent once: where a newer one of another alerting
took its place, that stays, and is said.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from nats.aio.client import Client

from alerting.clock import Clock
from fleetward.bus.backoff import pause_s
from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.bus.logs import log
from fleetward.bus.publish import publish
from fleetward.bus.waiting import happens
from fleetward.contracts.codec import MessageTooLargeError, UnreadableMessageError, decode, encode
from fleetward.contracts.rule_sets import CompiledRule, RuleSet, RuleSetGaveWay, RuleSetSigned
from fleetward.rules.rule_sets import compiled, critical, digest_of
from fleetward.rules.rulebook import Rulebook
from fleetward.trust.signing import RULE_SET, SignatureError, SigningKey, TrustedKeys

_logger = logging.getLogger(__name__)

LOOK_S = 60.0
"""How often it is looked whether the set is still there: a stream may be lost, or written by somebody else."""
RETRY_WAIT_S = 1.0
RETRY_WAIT_LIMIT_S = 60.0


def next_set(
    there: RuleSet | None,
    rules: tuple[CompiledRule, ...],
    lookback_s: float,
    now: datetime,
    newest: int = 0,
) -> RuleSet | None:
    """What to send after ``there``, which our key signed; None: it says the same. newest: revision we know of.

    The revision is the time in seconds, and never less than one more: it counts up although the clock is
    set back, and also where what was sent before is lost, which robots remember.
    """
    if there is not None and (there.rules, there.lookback_s) == (rules, lookback_s):
        return None
    after = max(newest, there.revision if there is not None else 0)
    return RuleSet(
        revision=max(after + 1, int(now.timestamp())),
        lookback_s=lookback_s,
        rules=rules,
        issued_at=now,
    )


def is_of_another(there: RuleSet, was_in_force: bool, newest: int) -> bool:
    """Whether a set with other rules than ours, which our key signed, is another alerting's and stays there.

    was_in_force: the same rules of ours were there before. newest: the revision that we knew of; what is
    older than that is what somebody repeats, and is replaced.
    """
    return was_in_force and there.revision >= newest


def signed(rule_set: RuleSet, key: SigningKey) -> RuleSetSigned:
    """The set under alerting's key."""
    payload = encode(rule_set)
    signature = key.sign(RULE_SET, payload)
    return RuleSetSigned(payload=payload, key_id=signature.key_id, signature=signature.signature)


class RuleSets:
    """Keeps what is on the bus the same as the rules in force, whoever changes which."""

    def __init__(
        self,
        connection: Client,
        key: SigningKey,
        rulebook: Rulebook,
        lookback_s: float,
        clock: Clock,
    ) -> None:
        self._connection = connection
        self._key = key
        self._ours = TrustedKeys.of({RULE_SET: [key.public_bytes]})
        self._lookback_s = lookback_s
        self._clock = clock
        self._rules: tuple[CompiledRule, ...] = ()
        self._in_force: tuple[CompiledRule, ...] | None = None
        """Those of ours that were there last."""
        self._newest = 0
        """The newest revision of our key that we saw."""
        self._gave_way_to = 0
        self._changed = asyncio.Event()
        self.use(rulebook)

    def use(self, rulebook: Rulebook) -> None:
        """These are the rules from now on."""
        self._rules = compiled(critical(rulebook))
        self._changed.set()

    async def run(self) -> None:
        """Send whenever our rules change, or what was sent is gone, until cancelled."""
        failures = 0
        while True:
            await happens(self._changed, LOOK_S)
            self._changed.clear()
            try:
                await self.look()
            except BusError as problem:
                failures += 1
                log(_logger, "rules.not_sent", level=logging.WARNING, reason=str(problem))
                self._changed.set()
                await asyncio.sleep(pause_s(failures, RETRY_WAIT_S, RETRY_WAIT_LIMIT_S))
            except MessageTooLargeError as problem:
                # Robots go by the set before until there are fewer rules.
                log(_logger, "rules.not_sent", level=logging.ERROR, reason=str(problem))
            else:
                failures = 0

    async def look(self) -> None:
        """Send our rules unless they are there, or others that took their place; raises BusError, MessageTooLargeError."""
        rules = self._rules
        there, sequence = await self._there()
        known = self._newest
        self._newest = max(known, there.revision if there is not None else 0)
        now = self._clock.now()
        following = next_set(there, rules, self._lookback_s, now, self._newest)
        if following is not None:
            if there is not None and is_of_another(there, rules == self._in_force, known):
                await self._give_way(there, following)
                return
            if rules != self._in_force:
                self._in_force = None  # what we send may be there although its answer is lost
            await self._publish(following, sequence)
        self._in_force = rules

    async def _publish(self, rule_set: RuleSet, after: int) -> None:
        await publish(self._connection, signed(rule_set, self._key), after=after)
        self._newest = rule_set.revision
        log(
            _logger,
            "rules.sent",
            revision=rule_set.revision,
            rules=len(rule_set.rules),
            digest=digest_of(rule_set.rules, rule_set.lookback_s),
        )

    async def _give_way(self, there: RuleSet, ours: RuleSet) -> None:
        """Say once that robots judge by ``there``, which is not what we judge by."""
        if there.revision == self._gave_way_to:
            return
        digest = digest_of(ours.rules, ours.lookback_s)
        told = RuleSetGaveWay(
            digest=digest,
            rules=len(ours.rules),
            to_revision=there.revision,
            found_at=ours.issued_at,
        )
        await publish(self._connection, told)
        log(
            _logger,
            "rules.replaced",
            level=logging.WARNING,
            reason="another alerting sent other rules, by which robots judge themselves from now on. Run one "
            "alerting, or give each the same rule files.",
            revision=there.revision,
            digest=digest_of(there.rules, there.lookback_s),
            ours=digest,
        )
        self._gave_way_to = there.revision

    async def _there(self) -> tuple[RuleSet | None, int]:
        """What we sent last, None where that is not ours or not to be read; and its sequence."""
        value = await last_value(self._connection, RuleSetSigned)
        if value is None:
            return None, 0
        sent = value.event
        try:
            self._ours.verify(RULE_SET, sent.payload, sent.key_id, sent.signature)
            return decode(sent.payload, RuleSet), value.sequence
        except (SignatureError, UnreadableMessageError) as problem:
            log(_logger, "rules.not_ours", level=logging.WARNING, reason=str(problem))
            return None, value.sequence
