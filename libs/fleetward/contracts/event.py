"""The shape every fact shares: frozen, keyword-only, readable by yesterday's readers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

UtcTime = Annotated[datetime, Meta(tz=True)]


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact in the past tense, or a request. New fields need defaults; unknown ones are ignored."""
