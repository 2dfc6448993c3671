"""One compiled alert rule, and the book of all of them; pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from fleetward.contracts.alerts import Severity
from fleetward.contracts.ids import AlertName
from fleetward.rules.promql import Expression, reaches
from fleetward.rules.templates import Template


class Rule(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """An alert, the expression that raises it, and how patiently. Durations in ns of event time."""

    alert: AlertName
    expression: Expression
    text: str
    for_ns: int = 0
    keep_firing_for_ns: int = 0
    severity: Severity = Severity.WARNING
    labels: Mapping[str, Template] = {}
    annotations: Mapping[str, Template] = {}

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics whose samples can change this rule's mind."""
        return frozenset(reach.metric for reach in reaches(self.expression))

    @property
    def longest_range_ns(self) -> int:
        """How much event time must pass until every window holds fresh samples only."""
        return max((reach.range_ns for reach in reaches(self.expression)), default=0)


class Rulebook:
    """All rules by alert name, with what they need to have kept."""

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self.rules = rules
        self.by_alert: dict[AlertName, Rule] = {rule.alert: rule for rule in rules}
        self.keep_ns: dict[str, int] = {}
        for reach in (reach for rule in rules for reach in reaches(rule.expression)):
            self.keep_ns[reach.metric] = max(self.keep_ns.get(reach.metric, 0), reach.range_ns)
