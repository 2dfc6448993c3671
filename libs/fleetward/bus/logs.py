"""One line of JSON per log event: a dotted event name plus fields, never a sentence."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import datetime, timezone


class Said:
    """What is logged: ``str()`` is a whole line, for a program that keeps its logs its own way."""

    def __init__(self, event: str, fields: Mapping[str, object]) -> None:
        self.event = event
        self.fields = fields

    def __str__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.event} ({told})" if told else self.event


class JsonLines(logging.Formatter):
    """One line for each record, of the process ``service``."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        """Its fields as JSON."""
        at = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        said = record.msg if isinstance(record.msg, Said) else Said(record.getMessage(), {})
        line: dict[str, object] = {
            "at": at,
            "level": record.levelname.lower(),
            "service": self._service,
            "event": said.event,
            **said.fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def setup_logging(service: str, level: int = logging.INFO) -> None:
    """Send every log record of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=level, handlers=[handler], force=True)


def log(logger: logging.Logger, event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log ``event`` (for example ``rollout.halted``) with its fields."""
    logger.log(level, Said(event, fields))
