"""Only services live beside the streams; everybody else has doors for what the catalog says."""

from __future__ import annotations

import pytest

from fleetward.contracts.accounts import Account, account_of, residents
from fleetward.contracts.catalog import EVENTS, request_row_of
from fleetward.contracts.registry import RegisterModel
from fleetward.contracts.rows import Principal
from fleetward.trust.accounts import Door, _refuse_service, doors, exports
from fleetward.trust.permissions import OWN_NAME, UnsafeRowError, permissions_of

OUTSIDE = [account for account in Account if account is not Account.CORE]


def test_only_services_live_beside_the_streams() -> None:
    assert set(residents(Account.CORE)) == {
        Principal.REGISTRY,
        Principal.COORDINATOR,
        Principal.INGEST,
        Principal.ALERTING,
        Principal.ENROLLER,
        Principal.PROVISIONER,
    }
    assert doors(Account.CORE) == ()


@pytest.mark.parametrize("account", OUTSIDE)
def test_nobody_shares_an_account_with_somebody_of_other_rights(account: Account) -> None:
    assert len(residents(account)) == 1


@pytest.mark.parametrize("account", OUTSIDE)
def test_every_subject_sent_has_its_door_and_every_door_its_subject(account: Account) -> None:
    (resident,) = residents(account)
    sent = {subject.replace(OWN_NAME, "*") for subject in permissions_of(resident).publish}
    assert sent == {door.local for door in doors(account) if door.kind == "service"}


def test_only_the_list_of_a_streams_subjects_has_another_name_outside() -> None:
    renamed = {door for each in OUTSIDE for door in doors(each) if door.local != door.subject}
    assert {door.subject.rpartition(".")[0] for door in renamed} == {"$JS.API.STREAM.INFO"}
    assert {door.local.rpartition(".")[0] for door in renamed} == {"$JS.CORE.API.STREAM.INFO"}


@pytest.mark.parametrize("account", OUTSIDE)
def test_every_fact_heard_comes_from_the_account_of_each_producer(account: Account) -> None:
    (resident,) = residents(account)
    heard = {(door.subject, door.exporter) for door in doors(account) if door.kind == "stream"}
    assert heard == {
        (row.pattern, account_of(producer))
        for row in EVENTS
        if resident in row.listeners
        for producer in row.producers
        if producer is not resident
    }


@pytest.mark.parametrize("account", OUTSIDE)
def test_nobody_outside_can_be_asked_for_anything(account: Account) -> None:
    assert {door.kind for door in exports(account)} <= {"stream"}


@pytest.mark.parametrize("account", OUTSIDE)
def test_every_door_is_opened_by_its_exporter_and_no_export_lacks_an_importer(
    account: Account,
) -> None:
    assert set(doors(account)) <= {door for each in Account for door in exports(each)}
    importers = {door for each in OUTSIDE for door in doors(each)}
    assert set(exports(account)) <= importers


def test_only_reading_many_subjects_at_once_is_answered_by_many_messages() -> None:
    many = {door.subject for door in exports(Account.CORE) if door.many_answers}
    assert "$JS.API.DIRECT.GET.ROBOTS" in many
    assert {len(subject.split(".")) for subject in many} == {5}


def test_the_door_of_a_request_waits_as_long_as_its_caller() -> None:
    row = request_row_of(RegisterModel)
    (door,) = [door for door in doors(Account.PEOPLE) if door.subject == row.pattern]
    assert door == Door(
        kind="service",
        subject=row.pattern,
        local=row.pattern,
        exporter=Account.CORE,
        answer_within_s=row.timeout_s,
    )


@pytest.mark.parametrize("service", [Principal.REGISTRY, Principal.ALERTING])
def test_who_pulls_or_answers_may_not_live_outside(service: Principal) -> None:
    with pytest.raises(UnsafeRowError, match="Give that row to a service"):
        _refuse_service(service)
