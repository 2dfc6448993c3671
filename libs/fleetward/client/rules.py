"""Which alert rules the hub sends robots, and which each of them judges itself by."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.errors import BusError
from fleetward.bus.last_values import last_value
from fleetward.client.anchors import published_roots
from fleetward.contracts.codec import UnreadableMessageError, decode
from fleetward.contracts.ids import AlertName, Digest
from fleetward.contracts.robots import RobotCheckedIn
from fleetward.contracts.rule_sets import (
    CompiledRule,
    RuleSet,
    RuleSetGaveWay,
    RuleSetSigned,
    RuleSource,
)
from fleetward.rules.rule_sets import RuleNotKnownError, digest_of, rule_in
from fleetward.trust.following import believed_keys
from fleetward.trust.signing import RULE_SET, SignatureError

SHOWN_DIGEST_CHARACTERS = 12


class SentRule(Struct, frozen=True, kw_only=True):
    """One rule, as people know it; ``expression`` says why not where it cannot be read here."""

    alert: AlertName
    expression: str


class SentRules(Struct, frozen=True, kw_only=True):
    """The hub's set. refused: why robots do not believe it; empty: they do."""

    digest: Digest
    revision: int
    issued_at: datetime
    rules: tuple[SentRule, ...]
    refused: str = ""
    gave_way: RuleSetGaveWay | None = None
    """An alerting that judges by other rules than these, which took the place of its own."""


async def sent_rules(connection: Client) -> SentRules | None:
    """None: the hub has sent none. Needs the rights of OPERATOR; raises BusError, UnreadableMessageError."""
    found = await _newest(connection)
    if found is None:
        return None
    signed, rule_set = found
    return SentRules(
        digest=_digest(rule_set),
        revision=rule_set.revision,
        issued_at=rule_set.issued_at,
        rules=tuple(map(_shown, rule_set.rules)),
        refused=_refusal(await published_roots(connection), signed),
        gave_way=await _gave_way(connection, rule_set.revision),
    )


async def judged_by(connection: Client, last: RobotCheckedIn | None) -> str:
    """By which rules a robot judges itself, for people; empty where its bridge does not say.

    A hub from before there were any, or a set that nobody can read, is said and no reason to say nothing else.
    """
    rules = last.rules if last is not None else None
    if rules is None:
        return ""
    if rules.digest is None:
        return "none"
    whose = "of a file on the robot, " if rules.source is RuleSource.FILE else ""
    return f"{shown_digest(rules.digest)}, {whose}{await _compared(connection, rules.digest)}"


async def _compared(connection: Client, digest: Digest) -> str:
    try:
        found = await _newest(connection)
    except (BusError, UnreadableMessageError) as problem:
        return f"the hub's cannot be read: {problem}"
    todays = _digest(found[1]) if found is not None else None
    return "the same as the hub's" if digest == todays else "not the hub's of today"


async def _newest(connection: Client) -> tuple[RuleSetSigned, RuleSet] | None:
    value = await last_value(connection, RuleSetSigned)
    return (value.event, decode(value.event.payload, RuleSet)) if value is not None else None


async def _gave_way(connection: Client, revision: int) -> RuleSetGaveWay | None:
    value = await last_value(connection, RuleSetGaveWay)
    return value.event if value is not None and value.event.to_revision == revision else None


def _digest(rule_set: RuleSet) -> Digest:
    return digest_of(rule_set.rules, rule_set.lookback_s)


def shown_digest(digest: Digest) -> str:
    """The beginning is enough to tell sets apart."""
    return digest.removeprefix("sha256:")[:SHOWN_DIGEST_CHARACTERS]


def _refusal(roots: list[bytes], signed: RuleSetSigned) -> str:
    if not roots:
        return "nothing says whose signatures count: this system has published no root yet."
    try:
        believed_keys(roots[-1]).verify(RULE_SET, signed.payload, signed.key_id, signed.signature)
    except SignatureError as problem:
        return str(problem)
    return ""


def _shown(sent: CompiledRule) -> SentRule:
    try:
        return SentRule(alert=sent.alert, expression=rule_in(sent).text)
    except RuleNotKnownError as problem:
        return SentRule(alert=sent.alert, expression=str(problem))
