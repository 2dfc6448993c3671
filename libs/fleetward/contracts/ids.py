"""Every id has its own type and is checked at every door.

Ids become subject tokens, file names and credential names, so they match
``[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?`` to the last character: a robot named ``*``
would own the fleet.
"""

from __future__ import annotations

import re
from typing import Annotated, NewType, TypeVar

from msgspec import Meta, Struct

from fleetward.contracts.errors import InvalidIdError

ID_PATTERN = r"\A[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?\Z"
VERSION_PATTERN = r"\A[a-z0-9](?:[a-z0-9._+-]{0,46}[a-z0-9])?\Z"
DIGEST_PATTERN = r"\Asha256:[0-9a-f]{64}\Z"
ALERT_NAME_PATTERN = r"\A[A-Za-z_][A-Za-z0-9_]{0,127}\Z"

RobotId = NewType("RobotId", Annotated[str, Meta(pattern=ID_PATTERN)])
RolloutId = NewType("RolloutId", Annotated[str, Meta(pattern=ID_PATTERN)])
ModelName = NewType("ModelName", Annotated[str, Meta(pattern=ID_PATTERN)])
AliasName = NewType("AliasName", Annotated[str, Meta(pattern=ID_PATTERN)])
Version = NewType("Version", Annotated[str, Meta(pattern=VERSION_PATTERN)])
BootId = NewType("BootId", Annotated[str, Meta(pattern=ID_PATTERN)])
Digest = NewType("Digest", Annotated[str, Meta(pattern=DIGEST_PATTERN)])
SiteName = NewType("SiteName", Annotated[str, Meta(pattern=ID_PATTERN)])
RecordingId = NewType("RecordingId", Annotated[str, Meta(pattern=ID_PATTERN)])
SegmentId = NewType("SegmentId", Annotated[str, Meta(pattern=ID_PATTERN)])
AlertName = NewType("AlertName", Annotated[str, Meta(pattern=ALERT_NAME_PATTERN)])

_ID_RULE = "1 to 48 of a-z, 0-9, '-' and '_', beginning and ending with a letter or digit"
_ALERT_RULE = "1 to 128 of letters, digits and '_', not beginning with a digit"
_VERSION_RULE = "1 to 48 of a-z, 0-9, '.', '_', '+' and '-', beginning and ending alphanumeric"

_Id = TypeVar("_Id")


class ModelRef(Struct, frozen=True, order=True):
    """One immutable version of one model, written ``name:version``."""

    name: ModelName
    version: Version

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


class ModelSelector(Struct, frozen=True):
    """What a person may type for a model: ``name:version`` or ``name@alias``."""

    name: ModelName
    version: Version | None = None
    alias: AliasName | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.alias}" if self.alias else f"{self.name}:{self.version}"


def robot_id(text: str) -> RobotId:
    """Check ``text`` as a robot's id; raises InvalidIdError."""
    return RobotId(_checked("robot id", text, ID_PATTERN, _ID_RULE))


def rollout_id(text: str) -> RolloutId:
    """Check ``text`` as a rollout's id; raises InvalidIdError."""
    return RolloutId(_checked("rollout id", text, ID_PATTERN, _ID_RULE))


def recording_id(text: str) -> RecordingId:
    """Check ``text`` as a recording's id; raises InvalidIdError."""
    return RecordingId(_checked("recording id", text, ID_PATTERN, _ID_RULE))


def segment_id(text: str) -> SegmentId:
    """Check ``text`` as a segment's id; raises InvalidIdError."""
    return SegmentId(_checked("segment id", text, ID_PATTERN, _ID_RULE))


def site_name(text: str) -> SiteName:
    """Check ``text`` as a site's name, the value of the label ``site``; raises InvalidIdError."""
    return SiteName(_checked("site", text, ID_PATTERN, _ID_RULE))


def model_name(text: str) -> ModelName:
    """Check ``text`` as a model's name; raises InvalidIdError."""
    return ModelName(_checked("model name", text, ID_PATTERN, _ID_RULE))


def alias_name(text: str) -> AliasName:
    """Check ``text`` as an alias; raises InvalidIdError."""
    return AliasName(_checked("alias", text, ID_PATTERN, _ID_RULE))


def alert_name(text: str) -> AlertName:
    """Check ``text`` as an alert's name; raises InvalidIdError."""
    return AlertName(_checked("alert name", text, ALERT_NAME_PATTERN, _ALERT_RULE))


def version(text: str) -> Version:
    """Check ``text`` as a model's version; raises InvalidIdError."""
    if ".." in text:
        raise InvalidIdError("version", text, "'..' is not allowed")
    return Version(_checked("version", text, VERSION_PATTERN, _VERSION_RULE))


def digest(text: str) -> Digest:
    """Check ``text`` as ``sha256:<64 hex digits>``; raises InvalidIdError."""
    return Digest(_checked("digest", text, DIGEST_PATTERN, "it must be sha256:<64 hex digits>"))


def model_selector(text: str) -> ModelSelector:
    """Parse ``name:version`` or ``name@alias``; raises InvalidIdError."""
    if "@" in text:
        name, _, alias = text.partition("@")
        return ModelSelector(model_name(name), alias=alias_name(alias))
    name, colon, wanted = text.partition(":")
    if not colon:
        raise InvalidIdError("model", text, "write name:version or name@alias")
    return ModelSelector(model_name(name), version=version(wanted))


def _checked(kind: str, text: str, pattern: str, rule: str) -> str:
    if re.match(pattern, text) is None:
        raise InvalidIdError(kind, text, rule)
    return text
