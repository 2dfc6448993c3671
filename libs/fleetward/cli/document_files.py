"""Reads documents of the fleet from YAML files; whatever is wrong is named with its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import yaml
from msgspec import Struct

from fleetward.contracts.documents import (
    API_VERSION,
    MAX_DOCUMENTS,
    Document,
    RobotLabelsDocument,
    RolloutDocument,
    SiteDocument,
    unknown_field,
)
from fleetward.contracts.errors import MalformedError
from fleetward.contracts.fleet_facts import check_labels
from fleetward.contracts.ids import model_selector, robot_id, rollout_id, site_name
from fleetward.contracts.policies import check_policy
from fleetward.contracts.selectors import parse_selector
from fleetward.contracts.sites import check_site_policy

MAX_FILE_BYTES = 1024 * 1024
SUFFIXES = (".yaml", ".yml", ".json")
KINDS = {"Rollout": RolloutDocument, "Site": SiteDocument, "RobotLabels": RobotLabelsDocument}

Path_ = tuple[str | int, ...]
_PART = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")


class DocumentError(MalformedError):
    """A document that cannot be read or cannot be meant; the message begins with file and line."""


class Written(Struct, frozen=True):
    """A document, and where it stands."""

    document: Document
    place: str

    @property
    def title(self) -> str:
        """``Rollout night-17``."""
        return f"{type(self.document).__struct_config__.tag} {self.document.name}"


def read_documents(paths: Sequence[Path]) -> list[Written]:
    """Every document of the files and of the directories' files, each name once; raises DocumentError."""
    written = [document for path in _files(paths) for document in _documents(path)]
    if len(written) > MAX_DOCUMENTS:
        raise DocumentError(
            f"{len(written)} documents were given; at most {MAX_DOCUMENTS} are read."
        )
    seen: dict[str, str] = {}
    for each in written:
        if each.title in seen:
            raise DocumentError(f"{each.place}: {each.title} is also in {seen[each.title]}.")
        seen[each.title] = each.place
    return written


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
            if not found:
                raise DocumentError(f"{path}: no file there ends with {', '.join(SUFFIXES)}.")
            yield from found
        else:
            yield path


def _documents(path: Path) -> Iterator[Written]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as problem:
        raise DocumentError(f"{path}: it cannot be read: {problem.strerror}.") from problem
    if len(content) > MAX_FILE_BYTES:
        raise DocumentError(f"{path}: it is larger than {MAX_FILE_BYTES} bytes.")
    try:
        text = content.decode("utf-8")
        _refuse_aliases(path, text)
        for node in yaml.compose_all(text, Loader=yaml.SafeLoader):
            if node is not None:
                yield Written(_document(path, node), f"{path}:{node.start_mark.line + 1}")
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        said = getattr(problem, "problem", None) or str(problem)
        raise DocumentError(f"{where}: this is not YAML: {said}.") from problem


def _refuse_aliases(path: Path, text: str) -> None:
    """An alias in a small file may stand for a gigabyte."""
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise DocumentError(
                f"{path}:{line}: aliases (*{event.anchor}) are not read; repeat it."
            )


def _document(path: Path, node: yaml.Node) -> Document:
    value = yaml.SafeLoader("").construct_document(node)
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise _wrong(path, node, ("kind",), f"kind is one of {', '.join(KINDS)}")
    unknown = unknown_field(value, KINDS[kind])
    if unknown is not None:
        raise _wrong(path, node, unknown, f"{kind} has no field {_spoken(unknown)!r}")
    if value.get("apiVersion") != API_VERSION:
        raise _wrong(path, node, ("apiVersion",), f"apiVersion is {API_VERSION}")
    if kind == "Site" and isinstance(value.get("policy"), dict):
        value["policy"].setdefault("site", value.get("name"))
    try:
        document: Document = msgspec.convert(value, KINDS[kind])
    except msgspec.ValidationError as problem:
        said, _, at = str(problem).partition(" - at `$")
        raise _wrong(path, node, _parsed(at.rstrip("`")), _said(said)) from problem
    try:
        _check(document)
    except MalformedError as problem:
        raise _wrong(path, node, (), str(problem)) from problem
    return document


def _said(problem: str) -> str:
    """msgspec's complaint for whoever wrote the file; patterns are of names, and say nothing to people."""
    if "matching regex" in problem:
        return (
            "this is no name: use at most 48 lower case letters, digits, '-' and '_', and begin and "
            "end with a letter or digit"
        )
    return problem[:1].lower() + problem[1:]


def _check(document: Document) -> None:
    """What a type cannot say; raises MalformedError."""
    match document:
        case RolloutDocument():
            rollout_id(document.name)
            for model in (document.model, *document.together):
                _refuse_alias(model)
            parse_selector(document.to)
            check_policy(document.policy)
        case SiteDocument():
            site_name(document.name)
            if document.policy.site != document.name:
                raise MalformedError(
                    f"the policy is of site {document.policy.site}, the document of {document.name}."
                )
            check_site_policy(document.policy)
        case RobotLabelsDocument():
            robot_id(document.name)
            check_labels(document.labels)


def _refuse_alias(model: str) -> None:
    if model_selector(model).alias is not None:
        raise MalformedError(
            f"model {model!r} names an alias, which means something else tomorrow. Write name:version."
        )


def _wrong(path: Path, node: yaml.Node, at: Path_, said: str) -> DocumentError:
    where = f" ({_spoken(at)})" if at else ""
    return DocumentError(f"{path}:{_line(node, at)}: {said.rstrip('.')}{where}.")


def _line(node: yaml.Node, at: Path_) -> int:
    """The line of the value that the path leads to, as far as it leads."""
    line = int(node.start_mark.line) + 1
    for part in at:
        if isinstance(node, yaml.MappingNode):
            found = [pair for pair in node.value if pair[0].value == part]
            if not found:
                return line
            line, node = int(found[0][0].start_mark.line) + 1, found[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            node = node.value[part]
            line = int(node.start_mark.line) + 1
    return line


def _parsed(at: str) -> Path_:
    """msgspec's ``.policy.gates[0].name``."""
    return tuple(
        name if name else (int(index) if index.isdecimal() else 0)
        for name, index in _PART.findall(at)
    )


def _spoken(at: Path_) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")
