"""Rules as they travel from the hub to robots: compiled, so that a robot needs no parser; pure.

What a robot does not know, because its bridge is older than the hub, it names instead of judging otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from msgspec import Struct

from fleetward.contracts.alerts import Severity
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.ids import AlertName, Digest
from fleetward.contracts.rule_sets import MAX_RULES, CompiledRule, RuleSet
from fleetward.rules.rulebook import Rule, Rulebook
from fleetward.rules.soundness import fault_in


class RuleNotKnownError(FleetwardError):
    """A rule that this program cannot judge as it is meant; the message says why."""


class Understood(Struct, frozen=True):
    """The rules of a set that can be judged here, and why each of the others cannot."""

    rulebook: Rulebook
    faults: dict[AlertName, str]


def critical(rulebook: Rulebook) -> Rulebook:
    """The rules that may take a model back: no others are judged on robots."""
    return Rulebook(tuple(rule for rule in rulebook.rules if rule.severity is Severity.CRITICAL))


def compiled(rulebook: Rulebook) -> tuple[CompiledRule, ...]:
    """Each rule to be sent; the same bytes for the same rules."""
    return tuple(CompiledRule(alert=rule.alert, compiled=encode(rule)) for rule in rulebook.rules)


def digest_of(rules: Iterable[CompiledRule], lookback_s: float) -> Digest:
    """What these rules are called: the same wherever they come from."""
    hasher = hashlib.sha256(f"{lookback_s:g}".encode())
    for rule in rules:
        hasher.update(encode(rule))
    return Digest(f"sha256:{hasher.hexdigest()}")


def understood(rule_set: RuleSet) -> Understood:
    """What of ``rule_set`` can be judged here."""
    rules, faults = dict[AlertName, Rule](), dict[AlertName, str]()
    for each in rule_set.rules:
        try:
            if len(rules) == MAX_RULES:
                raise RuleNotKnownError(f"{each.alert} is one of more than {MAX_RULES} rules.")
            rules[each.alert] = rule_in(each)
        except RuleNotKnownError as error:
            faults[each.alert] = str(error)
    return Understood(critical(Rulebook(tuple(rules.values()))), faults)


def rule_in(sent: CompiledRule) -> Rule:
    """The rule that was sent; raises RuleNotKnownError."""
    try:
        rule = decode(sent.compiled, Rule)
    except UnreadableMessageError as error:
        raise RuleNotKnownError(
            f"{sent.alert} says what this bridge does not know: {error} Update the bridge."
        ) from error
    fault = fault_in(rule)
    if fault is not None or rule.alert != sent.alert:
        raise RuleNotKnownError(
            f"{sent.alert} cannot be judged here: {fault or 'it is another rule'}. Update the bridge."
        )
    return rule
