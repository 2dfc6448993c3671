"""A line becomes a record: JSON keeps its fields, text its words; time and severity are looked for."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from edge_bridge.logs.instants import instant_ns, leading_instant_ns
from edge_bridge.logs.redaction import redact, redacted_text
from fleetward.logs.record import (
    MAX_SEVERITY_NUMBER,
    SEVERITIES,
    SYSLOG,
    LogRecord,
    Resource,
    Severity,
)

_TIME = ("timestamp", "time", "at", "ts", "@timestamp", "asctime")
_SEVERITY = ("severity_text", "level", "severity", "levelname", "log.level", "lvl")
_NUMBER = "severity_number"
_BODY = ("body", "message", "msg", "event")
_UNIT = ("service.name", "service")
_STACK = ("exception.stacktrace", "exception", "exc_info", "stack")
"""Where programs put tracebacks; the first is OpenTelemetry's name."""
UNIT_CHARACTERS = 64
"""Of a program's name: headers tell it, and are bounded."""
_NUMBERS = {word: severity.value for word, severity in SEVERITIES.items()}
_NAMES = {severity.value: severity.name.lower() if severity else "" for severity in Severity}
"""Plain, for every line needs them: an enumeration's members take ten times as long to ask."""
_PYTHON_LEVELS = {
    10: _NUMBERS["debug"],
    20: _NUMBERS["info"],
    30: _NUMBERS["warning"],
    40: _NUMBERS["error"],
    50: _NUMBERS["critical"],
}
_LEVEL_WITHIN = 96
"""Characters of a line of text in which it may say how severe it is."""
_LEVEL_WORDS = ("INFO", "WARN", "ERR", "DEBUG", "NOTICE", "FATAL", "CRITICAL", "TRACE", "PANIC")
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|PANIC)\b")
_SMALL_LEVEL = re.compile(
    r"(?:\[|level=|^(?=\w+: ))"
    r"(trace|debug|info|notice|warn|warning|error|err|fatal|critical|panic)\b",
    re.IGNORECASE,
)
_PRIORITY = re.compile(r"<([0-7])>")
"""As sd-daemon(3) has it, before a line."""
TRACEBACK = "Traceback (most recent call last):"
_DECODER = msgspec.json.Decoder()


def record_of(line: bytes, unit: Resource, now_ns: int) -> LogRecord:
    """The record of one line, or of lines that belong together; ``unit`` unless it says another."""
    if line[:1] == b"{":
        try:
            fields = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return _of_text(line, unit, now_ns)
        return of_fields(fields, unit, now_ns)
    return _of_text(line, unit, now_ns)


def of_fields(fields: dict[str, Any], unit: Resource, now_ns: int) -> LogRecord:
    """The record of a JSON object, which is used up."""
    at_ns = _time(fields, now_ns)
    text, number = _severity(fields)
    body = _taken(fields, _BODY)
    if _name_stack(fields) and not number:
        number, text = _NUMBERS["error"], "error"
    own = fields.pop("attributes", None)
    said = _taken(fields, _UNIT)
    resource = fields.get("resource")
    if said is None and isinstance(resource, dict):
        said = resource.get("service.name")
        del fields["resource"]
    if isinstance(own, dict):
        fields |= own
    elif own is not None:
        fields["attributes"] = own
    redact(fields)
    return LogRecord(
        timestamp=now_ns if at_ns is None else at_ns,
        observed_timestamp=0 if at_ns is None else now_ns,
        severity_number=number,
        severity_text=text,
        body=redacted_text(_spoken(body)),
        resource=_named(unit, said[:UNIT_CHARACTERS]) if isinstance(said, str) and said else unit,
        attributes=fields,
        trace_id=_text(fields, "trace_id"),
        span_id=_text(fields, "span_id"),
    )


def _name_stack(fields: dict[str, Any]) -> bool:
    """Give a traceback its name, if there is one."""
    for name in _STACK:
        if name in fields and isinstance(fields[name], str):
            fields[_STACK[0]] = redacted_text(fields.pop(name))
            return True
    return False


def _of_text(line: bytes, unit: Resource, now_ns: int) -> LogRecord:
    body = line.decode("utf-8", "replace")
    if body[:1] == "<" and (priority := _PRIORITY.match(body)) is not None:
        body, number = body[priority.end() :], SYSLOG[int(priority[1])].value
    elif TRACEBACK in body:
        number = _NUMBERS["error"]
    else:
        number = _level(body[:_LEVEL_WITHIN])
    at_ns = leading_instant_ns(body, now_ns)
    return LogRecord(
        timestamp=now_ns if at_ns is None else at_ns,
        observed_timestamp=0 if at_ns is None else now_ns,
        severity_number=number,
        severity_text=_NAMES[number],
        body=redacted_text(body),
        resource=unit,
    )


def _level(head: str) -> int:
    """0 when a line says none. Looking for plain words first costs a tenth of the expressions."""
    for word in _LEVEL_WORDS:
        at = head.find(word)
        if at >= 0 and (level := _LEVEL.match(head, at) or _LEVEL.search(head)) is not None:
            return _NUMBERS[level[1].lower()]
    if "[" in head or "level=" in head or ": " in head:
        small = _SMALL_LEVEL.search(head)
        return _NUMBERS[small[1].lower()] if small is not None else 0
    return 0


@lru_cache(maxsize=256)
def _named(unit: Resource, said: str) -> Resource:
    return replace(unit, service_name=said)


def _time(fields: dict[str, Any], now_ns: int) -> int | None:
    """What cannot be a time stays where it is."""
    for name in _TIME:
        if name in fields:
            at_ns = instant_ns(fields[name], now_ns)
            if at_ns is not None:
                del fields[name]
                return at_ns
    return None


def _severity(fields: dict[str, Any]) -> tuple[str, int]:
    """A program's own word for it, and the number."""
    number = fields.get(_NUMBER)
    if type(number) is int and 0 <= number <= MAX_SEVERITY_NUMBER:
        del fields[_NUMBER]
    else:
        number = None
    for name in _SEVERITY:
        said = fields.get(name)
        if isinstance(said, str):
            known = _NUMBERS.get(said) or _NUMBERS.get(said.lower())
        elif type(said) is int:
            known = _PYTHON_LEVELS.get(said)
        else:
            continue
        if known is not None:
            del fields[name]
            text = said if isinstance(said, str) else _NAMES[known]
            return text, known if number is None else number
    return "", number or 0


def _taken(fields: dict[str, Any], names: tuple[str, ...]) -> Any:  # noqa: ANN401 (what a program said)
    for name in names:
        if name in fields:
            return fields.pop(name)
    return None


def _text(fields: dict[str, Any], name: str) -> str:
    if name not in fields or not isinstance(fields[name], str):
        return ""
    return str(fields.pop(name))


def _spoken(body: object) -> str:
    if isinstance(body, str):
        return body
    return "" if body is None else msgspec.json.encode(body).decode()
