"""What enrolment brought and is still there, in the order in which it goes."""

from __future__ import annotations

from collections.abc import Iterator

from fleetward.enrolment.found import Found
from fleetward.enrolment.layout import ACCOUNT, UNIT, Layout
from fleetward.enrolment.steps import ReloadUnits, RemoveAccount, RemoveTree, RobotStep, StopUnit


def removal(layout: Layout, found: Found, *, keeps_state: bool) -> list[RobotStep]:
    """Every step that changes something; none: nothing of ours is there.

    keeps_state: models, journal and telemetry not yet sent stay, and with them the account that owns
    them; no key does. An account that enrolment did not make (``--account``) always stays.
    """
    return list(_steps(layout, found, keeps_state=keeps_state))


def _steps(layout: Layout, found: Found, *, keeps_state: bool) -> Iterator[RobotStep]:
    if found.active or found.enabled:
        yield StopUnit(unit=UNIT)
    if layout.unit in found.entries:
        yield RemoveTree(path=layout.unit)
        yield ReloadUnits()
    for path in (layout.config, layout.install):
        if path in found.entries:
            yield RemoveTree(path=path)
    if keeps_state:
        if layout.renewals in found.entries:
            yield RemoveTree(path=layout.renewals)
        return
    owner = found.entries[layout.state].owner if layout.state in found.entries else ""
    if layout.state in found.entries:
        yield RemoveTree(path=layout.state)
    if owner == ACCOUNT and found.account_exists:
        yield RemoveAccount(name=ACCOUNT)
