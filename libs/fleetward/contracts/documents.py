"""The fleet as data: rollouts, sites and robots' labels as documents that people keep in a repository."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from fleetward.contracts.ids import RobotId, RolloutId, SiteName
from fleetward.contracts.rollouts import RolloutPolicy, Strategy
from fleetward.contracts.sites import SitePolicy

API_VERSION = "fleetward/v1"
MAX_DOCUMENTS = 500


class RolloutDocument(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="Rollout"
):
    """A rollout that shall have been asked for. ``model``: name:version, never an alias.

    ``together``: further models, named alike, that switch at one instant with it on each robot.

    ``name`` is the rollout's id: what was asked for under an id is never asked for again, so another
    rollout needs another name.
    """

    api_version: str = msgspec.field(name="apiVersion")
    name: RolloutId
    model: str
    to: str
    strategy: Strategy = Strategy.CANARY
    continuous: bool = False
    together: tuple[str, ...] = ()
    policy: RolloutPolicy = RolloutPolicy()


class SiteDocument(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="Site"
):
    """What a site allows, instead of whatever was set for it before."""

    api_version: str = msgspec.field(name="apiVersion")
    name: SiteName
    policy: SitePolicy


class RobotLabelsDocument(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="RobotLabels",
):
    """Labels that a robot shall have; labels that are not named here stay as they are."""

    api_version: str = msgspec.field(name="apiVersion")
    name: RobotId
    labels: dict[str, str]


Document = RolloutDocument | SiteDocument | RobotLabelsDocument


def documents_schema() -> dict[str, Any]:  # Any: JSON Schema
    """JSON Schema (2020-12) of one document, for editors and CI."""
    schema = msgspec.json.schema(Document)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fleetward document",
        **schema,
    }


def unknown_field(value: object, kind: type) -> tuple[str | int, ...] | None:
    """The path to the first field of ``value`` that ``kind`` does not have, however deep; or None.

    Events ignore what they do not know, so that old readers read new writers. A document is written by
    a person, and a misspelt name must not mean the default.
    """
    return _unknown(value, msgspec.inspect.type_info(kind))


def _unknown(value: object, info: msgspec.inspect.Type) -> tuple[str | int, ...] | None:
    if isinstance(info, msgspec.inspect.UnionType):
        structs = [each for each in info.types if isinstance(each, msgspec.inspect.StructType)]
        return _unknown(value, structs[0]) if len(structs) == 1 else None
    if isinstance(info, msgspec.inspect.StructType) and isinstance(value, dict):
        known = {field.encode_name: field.type for field in info.fields}
        named = {str(name): inner for name, inner in value.items() if name != info.tag_field}
        for name, inner in named.items():
            found = _unknown(inner, known[name]) if name in known else ()
            if found is not None:
                return (name, *found)
    if isinstance(info, msgspec.inspect.VarTupleType) and isinstance(value, list):
        for place, inner in enumerate(value):
            found = _unknown(inner, info.item_type)
            if found is not None:
                return (place, *found)
    return None
