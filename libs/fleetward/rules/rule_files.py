"""Reads Prometheus rule files, unchanged in format, and says exactly where one is wrong.

Format: https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/ with label
names in UTF-8, as Prometheus 3 has them. YAML aliases are refused: a few lines of them expand
to gigabytes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import yaml
from msgspec import Struct, field

from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.recordings import (
    AFTER_ANNOTATION,
    BEFORE_ANNOTATION,
    MAX_WINDOW_S,
    window_s,
)
from fleetward.rules.expressions import ExpressionSyntaxError, parse

MAX_FILE_BYTES = 1024 * 1024

_METRIC_NAME = re.compile(r"\A[A-Za-z_:][A-Za-z0-9_:]*\Z")
_Shape = TypeVar("_Shape")

Empty = Literal[""]
"""A key with nothing behind it."""


class RuleFileError(FleetwardError):
    """A rule file was refused; the message says where, why, and what to do."""


class RuleText(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule as it stands in the file; every scalar is still text."""

    expr: str
    alert: str = ""
    record: str = ""
    for_: str = field(name="for", default="")
    keep_firing_for: str = ""
    labels: dict[str, str] | Empty = ""
    annotations: dict[str, str] | Empty = ""


class GroupText(Struct, frozen=True, forbid_unknown_fields=True):
    """One group; its rules are converted one by one so that an error names its position."""

    name: str
    rules: list[dict[str, Any]] | Empty = ""  # Any: whatever YAML held, converted to RuleText
    interval: str = ""
    query_offset: str = ""
    limit: str = ""
    labels: dict[str, str] | Empty = ""


class FileText(Struct, frozen=True, forbid_unknown_fields=True):
    """A whole file."""

    groups: list[dict[str, Any]] | Empty = ""  # Any: as above, converted to GroupText


class Place(Struct, frozen=True):
    """Where in a rule file something stands; ``position`` counts a group's rules from 1."""

    file: str
    group: str = ""
    position: int = 0
    rule: str = ""

    def __str__(self) -> str:
        words = [self.file]
        if self.group:
            words.append(f"group {self.group!r}")
        if self.position:
            words.append(f"rule {self.position}" + (f" ({self.rule})" if self.rule else ""))
        return ", ".join(words)

    def refused(self, why: str, what_to_do: str) -> RuleFileError:
        """The error for this place."""
        return RuleFileError(f"{self}: {why}. To go on, {what_to_do}.")


class PlacedRule(Struct, frozen=True):
    """A rule with where it stands and the group it belongs to."""

    place: Place
    rule: RuleText
    group: GroupText


def rule_file_paths(directory: Path) -> list[Path]:
    """The rule files of a directory, in a stable order; raises RuleFileError."""
    if not directory.is_dir():
        raise RuleFileError(f"{directory} is not a directory. Set FLEETWARD_RULES_DIR to one.")
    return sorted([*directory.glob("*.yml"), *directory.glob("*.yaml")])


def content_of(path: Path) -> bytes:
    """The bytes of a rule file; raises RuleFileError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Place(path.name).refused(str(error), "make the file readable") from error
    if len(content) > MAX_FILE_BYTES:
        raise Place(path.name).refused(
            f"{len(content)} bytes, the limit is {MAX_FILE_BYTES}", "split the file"
        )
    return content


def read_rules(name: str, content: bytes) -> list[PlacedRule]:
    """The rules of one file, valid as Prometheus has it; raises RuleFileError."""
    file = _converted(_parsed(Place(name), content), FileText, Place(name))
    found: list[PlacedRule] = []
    seen: set[str] = set()
    for position, raw in enumerate(file.groups or [], 1):
        group = _converted(raw, GroupText, Place(name, f"number {position}"))
        if not group.name or group.name in seen:
            raise Place(name, group.name).refused(
                "a group's name is missing or used twice in this file", "rename the group"
            )
        seen.add(group.name)
        found.extend(_rules_of(Place(name, group.name), group))
    return found


def _rules_of(place: Place, group: GroupText) -> list[PlacedRule]:
    _check_labels(place, group.labels)
    found = []
    for position, raw in enumerate(group.rules or [], 1):
        named = str(raw.get("alert") or raw.get("record") or "")
        at = Place(place.file, place.group, position, named)
        rule = _converted(raw, RuleText, at)
        _check_rule(at, rule)
        found.append(PlacedRule(at, rule, group))
    return found


def _check_rule(place: Place, rule: RuleText) -> None:
    if bool(rule.alert) == bool(rule.record):
        raise place.refused("a rule is either an alert or a record", "keep exactly one of the two")
    if rule.record and (rule.for_ or rule.keep_firing_for or rule.annotations):
        raise place.refused(
            "'for', 'keep_firing_for' and 'annotations' belong to alerts", "remove them"
        )
    if rule.record and not _METRIC_NAME.match(rule.record):
        raise place.refused(f"{rule.record!r} is not a metric's name", "rename it")
    _check_labels(place, rule.labels)
    _check_windows(place, rule.annotations or {})
    try:
        parse(rule.expr)
    except ExpressionSyntaxError as error:
        raise place.refused(f"expr: {error}", "correct the expression") from error


def _check_windows(place: Place, annotations: dict[str, str]) -> None:
    for name in (BEFORE_ANNOTATION, AFTER_ANNOTATION):
        if name in annotations and window_s(annotations[name], -1.0) < 0:
            raise place.refused(
                f"annotation {name} is {annotations[name]!r}",
                f"write a number of seconds from 0 to {MAX_WINDOW_S:g}",
            )


def _check_labels(place: Place, labels: dict[str, str] | Empty) -> None:
    for label in labels:
        if not label or label == "__name__":
            raise place.refused(f"{label!r} is not allowed as a label", "rename the label")


class _PlainLoader(yaml.BaseLoader):
    """YAML of texts, lists and mappings only: no tags, no aliases, no key given twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML has no types here
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.composer.ComposerError(
                None, None, "anchors and aliases are refused: write the value out", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Any, Any]:  # Any: PyYAML's signature
        keys = [key.value for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _parsed(place: Place, content: bytes) -> object:
    try:
        parsed = yaml.load(content, Loader=_PlainLoader)  # noqa: S506 (texts only, see above)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise place.refused(f"not readable as YAML: {text}", "correct the file") from error
    return parsed or {}


def _converted(raw: object, shape: type[_Shape], place: Place) -> _Shape:
    try:
        return msgspec.convert(raw, shape)
    except msgspec.ValidationError as error:
        raise place.refused(str(error), "compare it with Prometheus' rule file format") from error
