"""Compares documents with the fleet as it stands, and makes it so. Applying twice changes nothing."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from fleetward.bus.enrolled import enrolled_robot
from fleetward.client.errors import ClientError, RolloutRefusedError, UnknownRolloutError
from fleetward.client.fleet import Fleet
from fleetward.client.labels import label
from fleetward.client.sites import UnknownSiteError
from fleetward.contracts.documents import (
    Document,
    RobotLabelsDocument,
    RolloutDocument,
    SiteDocument,
)
from fleetward.contracts.rollouts import Rollout


class Change(str, enum.Enum):
    """What applying a document would do."""

    UNCHANGED = "unchanged"
    CREATE = "create"
    UPDATE = "update"
    REFUSED = "refused"


class Difference(Struct, frozen=True, kw_only=True):
    """One document against the fleet. ``fields``: what differs, as (now, then), each as JSON text."""

    change: Change
    fields: dict[str, tuple[str, str]] = {}
    reason: str = ""


async def difference(fleet: Fleet, document: Document) -> Difference:
    """What applying ``document`` would do; changes nothing."""
    match document:
        case RolloutDocument():
            return await _of_rollout(fleet, document)
        case SiteDocument():
            return await _of_site(fleet, document)
        case RobotLabelsDocument():
            return await _of_labels(fleet, document)


async def apply(fleet: Fleet, enroller: Fleet | None, document: Document, by: str) -> Difference:
    """Make the fleet what the document says; raises ClientError where it may not become so.

    enroller: who may label robots; needed for labels alone.
    """
    found = await difference(fleet, document)
    if found.change is Change.UNCHANGED:
        return found
    if found.change is Change.REFUSED:
        raise ClientError(found.reason)
    match document:
        case RolloutDocument():
            await fleet.start_rollout(
                document.model,
                document.to,
                strategy=document.strategy,
                policy=document.policy,
                rollout=document.name,
                is_continuous=document.continuous,
                together=document.together,
                requested_by=by,
            )
        case SiteDocument():
            await fleet.sites.set(document.policy, by=by)
        case RobotLabelsDocument():
            if enroller is None:
                raise ClientError("labels are set with the rights of whoever enrols robots.")
            await label(enroller.connection, document.name, document.labels, ())
    return found


async def _of_rollout(fleet: Fleet, document: RolloutDocument) -> Difference:
    try:
        held = await fleet.rollout(document.name)
    except (UnknownRolloutError, RolloutRefusedError):
        return Difference(change=Change.CREATE)
    fields = _differing(_said_of(held), _said_by(document))
    if not fields:
        return Difference(change=Change.UNCHANGED)
    return Difference(
        change=Change.REFUSED,
        fields=fields,
        reason=f"rollout {document.name} was asked for with other {', '.join(fields)}, and what was "
        "asked for under a name stays so. Give this one another name.",
    )


async def _of_site(fleet: Fleet, document: SiteDocument) -> Difference:
    try:
        held = (await fleet.sites.one(document.name)).policy
    except UnknownSiteError:
        return Difference(change=Change.CREATE)
    fields = _differing(msgspec.to_builtins(held), msgspec.to_builtins(document.policy))
    return Difference(change=Change.UPDATE if fields else Change.UNCHANGED, fields=fields)


async def _of_labels(fleet: Fleet, document: RobotLabelsDocument) -> Difference:
    held = await enrolled_robot(fleet.connection, document.name)
    if held is None:
        return Difference(
            change=Change.REFUSED,
            reason=f"no robot is called {document.name}. `fleetward robot list` shows who is enrolled.",
        )
    now = {name: held.event.labels.get(name) for name in document.labels}
    fields = _differing(now, document.labels)
    return Difference(change=Change.UPDATE if fields else Change.UNCHANGED, fields=fields)


def _said_of(held: Rollout) -> dict[str, object]:
    return {
        "model": str(held.model),
        "to": held.selector,
        "strategy": held.strategy.value,
        "continuous": held.is_continuous,
        "together": [str(each.model) for each in held.together],
        "policy": msgspec.to_builtins(held.policy),
    }


def _said_by(document: RolloutDocument) -> dict[str, object]:
    return {
        "model": document.model,
        "to": document.to,
        "strategy": document.strategy.value,
        "continuous": document.continuous,
        "together": list(document.together),
        "policy": msgspec.to_builtins(document.policy),
    }


def _differing(
    now: Mapping[str, object], then: Mapping[str, object], under: str = ""
) -> dict[str, tuple[str, str]]:
    """The fields whose values differ; of inner objects, their own fields."""
    found: dict[str, tuple[str, str]] = {}
    for name in sorted({*now, *then}):
        before, after = now.get(name), then.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found |= _differing(before, after, f"{under}{name}.")
        elif before != after:
            found[f"{under}{name}"] = (_text(before), _text(after))
    return found


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()
