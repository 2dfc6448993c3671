"""The alert rules by which robots judge themselves, as the hub sends them: compiled, signed, one for all."""

from __future__ import annotations

import enum

from msgspec import Struct

from fleetward.contracts.event import Event, UtcTime
from fleetward.contracts.ids import AlertName, Digest

MAX_RULES = 1000
MAX_RULE_SET_BYTES = 128 * 1024
"""Some 150 rules; a robot behind 64 kbit/s has them after 16 s."""


class CompiledRule(Struct, frozen=True, kw_only=True):
    """One rule. compiled: msgpack of ``fleetward.rules.rulebook.Rule``, by itself, so that a bridge which
    does not know all that a newer hub writes leaves out this one and judges by the others."""

    alert: AlertName
    compiled: bytes


class RuleSet(Struct, frozen=True, kw_only=True):
    """Every rule that may take a model back. ``revision`` counts up; a robot refuses an older one.

    lookback_s: how old an instant selector's sample may be.
    """

    revision: int
    lookback_s: float
    rules: tuple[CompiledRule, ...]
    issued_at: UtcTime


class RuleSetSigned(Event, frozen=True, kw_only=True):
    """The rules of every robot, as signed bytes: verify before decoding.

    payload: msgpack of RuleSet. signature: Ed25519, 64 bytes, by alerting's key.
    """

    payload: bytes
    key_id: str
    signature: bytes


class RuleSetGaveWay(Event, frozen=True, kw_only=True):
    """An alerting found another one's set in the place of its own: from then on it judges by other rules than
    robots do. digest, rules: of its own. to_revision: of the set that is there."""

    digest: Digest
    rules: int
    to_revision: int
    found_at: UtcTime


class RuleSource(str, enum.Enum):
    """Where the rules of a robot come from. file: from its own disk, whatever the hub sends."""

    HUB = "hub"
    FILE = "file"


class RulesStanding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By which rules a robot judges itself.

    digest: of exactly these rules, the same for the hub's own; None: by none. revision: of the hub's set.
    trouble: why it judges by none, by an older set, or not by all of it.
    """

    source: RuleSource
    digest: Digest | None = None
    rules: int = 0
    revision: int = 0
    trouble: str = ""
