"""Permissions follow from the catalog, and robots get their own subjects only."""

from __future__ import annotations

import pytest

from fleetward.contracts.catalog import CONSUMERS, EVENTS, REQUESTS, row_of
from fleetward.contracts.curation import SignedWithdrawals
from fleetward.contracts.rows import Principal
from fleetward.contracts.rule_sets import RuleSetSigned
from fleetward.trust.permissions import OWN_INBOX, OWN_NAME, permissions_of

FOR_EVERY_ROBOT = (row_of(SignedWithdrawals).subject, row_of(RuleSetSigned).subject)
"""The facts that are the same for all: which digests nobody may serve, and by which rules all are judged."""

SERVICES = [
    principal
    for principal in Principal
    if principal not in {Principal.ROBOT, Principal.PROVISIONER}
]


def test_every_subject_of_a_robot_names_the_robot_itself() -> None:
    permissions = permissions_of(Principal.ROBOT)
    assert permissions.publish
    for subject in (*permissions.publish, *permissions.subscribe):
        assert OWN_NAME in subject or subject.endswith(FOR_EVERY_ROBOT)
        assert "*" not in subject
    assert [subject for subject in permissions.subscribe if ">" in subject] == [OWN_INBOX]


def test_robot_payload_limit_leaves_room_for_its_largest_event_and_headers() -> None:
    largest = max(row.size_limit_bytes for row in EVENTS if Principal.ROBOT in row.producers)
    assert largest < permissions_of(Principal.ROBOT).payload_bytes <= largest + 8 * 1024


@pytest.mark.parametrize("principal", SERVICES)
def test_principal_publishes_what_the_catalog_says_and_no_other_event(
    principal: Principal,
) -> None:
    allowed = set(permissions_of(principal).publish)
    for row in EVENTS:
        assert (row.pattern in allowed) == (principal in row.producers), row.subject
    for request in REQUESTS:
        assert (request.pattern in allowed) == (principal in request.callers), request.subject


@pytest.mark.parametrize("principal", SERVICES)
def test_principal_hears_what_the_catalog_says_and_no_other_event(principal: Principal) -> None:
    allowed = set(permissions_of(principal).subscribe)
    for row in EVENTS:
        assert (row.pattern in allowed) == (principal in row.listeners), row.subject
    for request in REQUESTS:
        assert (request.pattern in allowed) == (principal is request.responder), request.subject


@pytest.mark.parametrize("principal", SERVICES)
def test_principal_pulls_from_its_own_consumers_only(principal: Principal) -> None:
    allowed = set(permissions_of(principal).publish)
    for consumer in CONSUMERS:
        name = f"{consumer.stream.value}.{consumer.durable}"
        for subject in (f"$JS.API.CONSUMER.MSG.NEXT.{name}", f"$JS.ACK.{name}.>"):
            assert (subject in allowed) == (principal is consumer.principal), subject


@pytest.mark.parametrize("principal", SERVICES)
def test_only_the_provisioner_may_change_storage(principal: Principal) -> None:
    words = {"CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE", "SNAPSHOT", ">"}
    storage = [
        subject for subject in permissions_of(principal).publish if subject.startswith("$JS.API.")
    ]
    assert [subject for subject in storage if words & set(subject.split("."))] == []
    assert permissions_of(Principal.PROVISIONER).publish == ("$JS.API.>",)


@pytest.mark.parametrize("principal", SERVICES)
def test_only_responders_answer_and_for_as_long_as_callers_wait(principal: Principal) -> None:
    waits = [row.timeout_s for row in REQUESTS if row.responder is principal]
    assert permissions_of(principal).response_ttl_s == (max(waits) if waits else None)
