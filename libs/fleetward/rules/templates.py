"""The part of Go templates that Prometheus annotations commonly use; the rest is refused.

``{{ $labels.name }}``, ``{{ $value }}``, ``{{ $value | humanizeDuration }}`` and its like, and
``{{ printf "%.2f" $value }}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from fleetward.contracts.errors import FleetwardError

MAX_TEXT_CHARACTERS = 1024

_ACTION = re.compile(r"{{-?\s*(.*?)\s*-?}}", re.DOTALL)
_LABEL = re.compile(r"\A(?:\$labels|\.Labels)\.([A-Za-z_][A-Za-z0-9_]*)\Z")
_VALUE = re.compile(r"\A(?:\$value|\.Value)(?:\s*\|\s*(\w+))?\Z")
_PRINTF = re.compile(
    r'\A(?:printf\s+"%\.(\d)f"\s+(?:\$value|\.Value)|(?:\$value|\.Value)\s*\|\s*printf\s+"%\.(\d)f")\Z'
)
PRECISION = re.compile(r"\A\.\d\Z")
"""A format that is so many decimals."""


class UnsupportedTemplateError(FleetwardError):
    """A template uses something that is not expanded here; the message names it."""


class LabelPart(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Stands for the value of a label."""

    label: str


class ValuePart(Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Stands for the alert's value, shown in a format."""

    format: str


Part = str | LabelPart | ValuePart


class Template(Struct, frozen=True, forbid_unknown_fields=True):
    """A text with places to fill in."""

    parts: tuple[Part, ...]

    def expand(self, labels: Mapping[str, str], value: float) -> str:
        """The text for these labels and this value, at most MAX_TEXT_CHARACTERS long."""
        text = "".join(_filled(part, labels, value) for part in self.parts)
        return text[:MAX_TEXT_CHARACTERS]


def compile_template(text: str) -> Template:
    """The template in ``text``; raises UnsupportedTemplateError."""
    parts: list[Part] = []
    end = 0
    for action in _ACTION.finditer(text):
        parts.append(text[end : action.start()])
        parts.append(_action(action[1]))
        end = action.end()
    parts.append(text[end:])
    return Template(tuple(part for part in parts if part != ""))


def _action(action: str) -> Part:
    if label := _LABEL.match(action):
        return LabelPart(label[1])
    if printf := _PRINTF.match(action):
        return ValuePart("." + (printf[1] or printf[2]))
    if (value := _VALUE.match(action)) and (value[1] or "plain") in FORMATS:
        return ValuePart(value[1] or "plain")
    raise UnsupportedTemplateError(
        f"the template {{{{ {action} }}}} is not expanded here. "
        "Use {{ $labels.name }}, {{ $value }} or {{ $value | humanize }}."
    )


def _filled(part: Part, labels: Mapping[str, str], value: float) -> str:
    match part:
        case LabelPart(label=label):
            return labels.get(label, "")
        case ValuePart(format=name) if name.startswith("."):
            return f"{value:{name}f}"
        case ValuePart(format=name):
            return FORMATS[name](value)
        case str():
            return part


def _humanize(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:.4g}"
    power = min(max(math.floor(math.log10(abs(value)) / 3), -8), 8)
    prefix = "yzafpnum kMGTPEZY"[power + 8].strip()
    return f"{value / 1000**power:.4g}{prefix}"


def _humanize_duration(value: float) -> str:
    if not math.isfinite(value) or abs(value) < 1:
        return f"{_humanize(value)}s"
    seconds = round(value)
    if abs(seconds) < 60:
        return f"{value:.4g}s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    counted = ((days, "d"), (hours, "h"), (minutes, "m"))
    largest = [f"{count}{unit}" for count, unit in counted]
    while largest and largest[0][0] == "0":
        largest.pop(0)
    return " ".join([*largest, f"{seconds}s"])


FORMATS: dict[str, Callable[[float], str]] = {
    "plain": lambda value: f"{value:g}",
    "humanize": _humanize,
    "humanizeDuration": _humanize_duration,
    "humanizePercentage": lambda value: f"{value * 100:.4g}%",
}
