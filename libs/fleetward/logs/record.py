"""One log record, in the names and severities of OpenTelemetry's log data model.

https://opentelemetry.io/docs/specs/otel/logs/data-model
"""

from __future__ import annotations

import enum
from typing import Any

from msgspec import Struct


class Severity(enum.IntEnum):
    """The first number of each range: 13 to 16 are all warnings."""

    UNSPECIFIED = 0
    TRACE = 1
    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17
    FATAL = 21


MAX_SEVERITY_NUMBER = 24
SEVERITIES: dict[str, Severity] = {
    "trace": Severity.TRACE,
    "verbose": Severity.TRACE,
    "debug": Severity.DEBUG,
    "info": Severity.INFO,
    "information": Severity.INFO,
    "notice": Severity.INFO,
    "warn": Severity.WARN,
    "warning": Severity.WARN,
    "error": Severity.ERROR,
    "err": Severity.ERROR,
    "fatal": Severity.FATAL,
    "critical": Severity.FATAL,
    "crit": Severity.FATAL,
    "alert": Severity.FATAL,
    "panic": Severity.FATAL,
    "emergency": Severity.FATAL,
    "emerg": Severity.FATAL,
}
"""What programs call them, in small letters."""
SYSLOG = (
    Severity.FATAL,
    Severity.FATAL,
    Severity.FATAL,
    Severity.ERROR,
    Severity.WARN,
    Severity.INFO,
    Severity.INFO,
    Severity.DEBUG,
)
"""By syslog's priority, from 0."""


def range_of(number: int) -> Severity:
    """The severity whose range ``number`` lies in."""
    return max((each for each in Severity if each <= number), default=Severity.UNSPECIFIED)


class Resource(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"service_name": "service.name", "file": "log.file.path", "pid": "process.pid"},
):
    """Whose record it is: a program's name for itself, or else its file, unit or process."""

    service_name: str = ""
    file: str = ""
    pid: int = 0


class LogRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of JSON in a segment. ``timestamp``: unix nanoseconds by the robot's clock.

    ``observed_timestamp``: when the robot saw it, where the program told another time itself.
    ``attributes``: whatever else a program said, as JSON.
    """

    timestamp: int
    severity_number: int = 0
    severity_text: str = ""
    body: str = ""
    resource: Resource = Resource()
    attributes: dict[str, Any] = {}
    observed_timestamp: int = 0
    trace_id: str = ""
    span_id: str = ""
