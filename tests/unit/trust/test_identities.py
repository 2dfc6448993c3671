"""The issuer keeps its keys, refuses unsafe names, and remembers whom it turned away."""

from __future__ import annotations

import stat
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleetward.contracts.accounts import Account
from fleetward.contracts.errors import FleetwardError, InvalidIdError
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import CREDENTIAL_DAYS, RobotKey, RobotKeysChanged
from fleetward.contracts.rows import Principal
from fleetward.trust import nats_jwt
from fleetward.trust.identities import Identities, RevokedError
from fleetward.trust.nats_jwt import Claims, KeyPair, MalformedTokenError, claims_of, token_in
from fleetward.trust.voided_keys import FOR_GOOD

NOW_S = 1_700_000_000
OUTSIDE = [account for account in Account if account is not Account.CORE]


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    return Identities(tmp_path / "keys", tmp_path / "credentials", now=lambda: float(NOW_S))


def account_claims(identities: Identities, account: Account) -> Claims:
    """What the server is told of one account."""
    trust = identities.server_trust()
    claims: Claims = claims_of(trust.accounts[identities.accounts[account].public])["nats"]
    return claims


def user_of(path: Path) -> str:
    user: str = claims_of(token_in(path.read_text()))["sub"]
    return user


def test_credentials_are_issued_once_and_kept(identities: Identities) -> None:
    first = identities.issue_robot("robot-a").read_bytes()
    assert identities.issue_robot("robot-a").read_bytes() == first
    assert identities.issue_robot("robot-b").read_bytes() != first


def test_opening_the_same_keys_gives_the_same_accounts(tmp_path: Path) -> None:
    first = Identities(tmp_path / "keys", tmp_path / "credentials")
    second = Identities(tmp_path / "keys", tmp_path / "credentials")
    assert set(first.server_trust().accounts) == set(second.server_trust().accounts)


def test_secrets_are_readable_by_their_user_only(tmp_path: Path, identities: Identities) -> None:
    identities.issue(Principal.REGISTRY)
    identities.issue_robot("robot-a")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_user_token_carries_a_name_and_no_permissions(identities: Identities) -> None:
    claims = claims_of(token_in(identities.issue_robot("robot-a").read_text()))
    assert claims["name"] == "robot-a"
    assert claims["nats"] == {
        "type": "user",
        "version": 2,
        "issuer_account": identities.accounts[Account.EDGE].public,
    }


@pytest.mark.parametrize("name", ["*", ">", "a.b", "", "a\n", "../a", "A", "a b", "$sys", "a" * 49])
def test_unsafe_name_gets_no_credentials(identities: Identities, name: str) -> None:
    with pytest.raises(InvalidIdError):
        identities.issue_robot(name)
    with pytest.raises(InvalidIdError):
        identities.user_token(
            KeyPair.create("user").public, name, "robot", identities.accounts[Account.EDGE]
        )


def test_robot_is_not_issued_as_a_service(identities: Identities) -> None:
    with pytest.raises(FleetwardError, match="use issue_robot"):
        identities.issue(Principal.ROBOT)


def test_revoked_user_is_in_the_account_and_gets_no_new_token(identities: Identities) -> None:
    user = user_of(identities.issue_robot("robot-a"))
    identities.void(user)
    assert account_claims(identities, Account.EDGE)["revocations"] == {user: FOR_GOOD}
    with pytest.raises(RevokedError):
        identities.user_token(user, "robot-a", "robot", identities.accounts[Account.EDGE])
    assert user_of(identities.issue_robot("robot-a")) != user


@pytest.mark.parametrize("account", OUTSIDE)
def test_account_outside_has_no_storage_no_services_and_no_leaf_nodes(
    identities: Identities, account: Account
) -> None:
    claims = account_claims(identities, account)
    assert [export for export in claims["exports"] if export["type"] != "stream"] == []
    assert claims["limits"]["leaf"] == 0
    assert claims["limits"]["disallow_bearer"] is True
    assert "disk_storage" not in claims["limits"]


@pytest.mark.parametrize("account", OUTSIDE)
def test_every_import_is_activated_by_its_exporter_for_one_account_alone(
    identities: Identities, account: Account
) -> None:
    imports = account_claims(identities, account)["imports"]
    assert imports
    for entry in imports:
        activation = claims_of(entry["token"])
        assert activation["iss"] == entry["account"]
        assert activation["sub"] == identities.accounts[account].public
        assert activation["nats"]["subject"] == entry["subject"]


@pytest.mark.parametrize("account", list(Account))
def test_nothing_is_exported_without_an_activation(
    identities: Identities, account: Account
) -> None:
    exports = account_claims(identities, account)["exports"]
    assert all(export["token_req"] is True for export in exports)


def test_credentials_of_an_account_that_was_left_are_made_anew(
    tmp_path: Path, identities: Identities
) -> None:
    user = KeyPair.create("user")
    core = identities.accounts[Account.CORE]
    token = identities.user_token(user.public, "operator", "operator", core)
    (tmp_path / "credentials" / "operator.creds").write_bytes(nats_jwt.credentials(token, user))
    moved = identities.issue(Principal.OPERATOR)
    claims = claims_of(token_in(moved.read_text()))
    assert claims["nats"]["issuer_account"] == identities.accounts[Account.PEOPLE].public
    assert claims["sub"] != user.public


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.!!!!.c", "a.AAAA.c"])
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(MalformedTokenError):
        nats_jwt.claims_of(text)


def in_days(days: float) -> datetime:
    return datetime.fromtimestamp(NOW_S, timezone.utc) + timedelta(days=days)


def replaced_by(enrolled_key: str, key: str, ends_at: datetime) -> RobotKeysChanged:
    """What the bus says of a robot that renewed once."""
    at = in_days(-1)
    return RobotKeysChanged(
        robot_id=RobotId("robot-a"),
        enrolled_key=enrolled_key,
        keys=(
            RobotKey(public_key=enrolled_key, issued_at=at, retired_at=at),
            RobotKey(public_key=key, issued_at=at, expires_at=ends_at),
        ),
        current=key,
        changed_at=at,
    )


def test_credentials_of_a_robot_end_and_those_of_a_service_do_not(identities: Identities) -> None:
    assert identities.robot_key_ends(RobotId("robot-a")) == in_days(CREDENTIAL_DAYS)
    assert "exp" not in claims_of(token_in(identities.issue(Principal.REGISTRY).read_text()))


def test_what_a_robot_replaced_is_void_among_robots_and_nowhere_else(
    identities: Identities,
) -> None:
    """Whoever says what robots replaced could otherwise name a service's key."""
    robot, service = identities.issue_robot("robot-a"), identities.issue(Principal.COORDINATOR)
    for file in (robot, service):
        assert identities.follow(replaced_by(user_of(file), "UNEW", in_days(90)))
    assert set(account_claims(identities, Account.EDGE)["revocations"]) == {
        user_of(robot),
        user_of(service),
    }
    assert account_claims(identities, Account.CORE)["revocations"] == {}
    assert not identities.is_void(user_of(robot)), "the robot is as it should be"
    assert identities.issue_robot("robot-a") == robot


def test_the_server_is_told_of_replaced_keys_until_it_was(identities: Identities) -> None:
    user = user_of(identities.issue_robot("robot-a"))
    known = replaced_by(user, "UNEW", in_days(90))
    assert [identities.follow(known), identities.follow(known)] == [True, True]
    identities.told()
    assert not identities.follow(known)
    assert identities.follow(replaced_by("UOTHER", "UNEXT", in_days(90)))


def test_keys_that_a_person_voided_and_keys_that_never_changed_are_not_followed(
    identities: Identities,
) -> None:
    known = replaced_by("UOLD", "UNEW", in_days(90))
    assert not identities.follow(replace(known, closed_at=in_days(0)))
    assert not identities.follow(replace(known, current="UOLD"))
    assert account_claims(identities, Account.EDGE)["revocations"] == {}


def test_credentials_are_made_anew_when_they_ended_and_so_did_what_replaced_them(
    tmp_path: Path,
) -> None:
    now_s = [float(NOW_S)]
    identities = Identities(tmp_path / "keys", tmp_path / "credentials", now=lambda: now_s[0])
    first = user_of(identities.issue_robot("robot-a"))
    identities.follow(replaced_by(first, "UNEW", in_days(2 * CREDENTIAL_DAYS)))
    now_s[0] += CREDENTIAL_DAYS * 86_400 + 1
    assert user_of(identities.issue_robot("robot-a")) == first, "the robot lives by another"
    now_s[0] += CREDENTIAL_DAYS * 86_400
    assert identities.has_ended(RobotId("robot-a"))
    assert user_of(identities.issue_robot("robot-a")) != first
    assert account_claims(identities, Account.EDGE)["revocations"] == {first: FOR_GOOD}


def test_a_replaced_key_is_named_to_the_server_no_longer_than_its_credentials_last(
    tmp_path: Path,
) -> None:
    now_s = [float(NOW_S)]
    identities = Identities(tmp_path / "keys", tmp_path / "credentials", now=lambda: now_s[0])
    known = replaced_by("UOLD", "UNEW", in_days(90))
    ends = replace(known.keys[0], expires_at=in_days(10))
    identities.follow(replace(known, keys=(ends, known.keys[1])))
    now_s[0] += 11 * 86_400
    identities.follow(replaced_by("UNEVER", "UNEXT", in_days(90)))
    assert set(account_claims(identities, Account.EDGE)["revocations"]) == {"UNEVER"}


def test_the_renewers_key_is_another_than_the_one_that_enrols_with_the_same_scope(
    identities: Identities,
) -> None:
    keys = account_claims(identities, Account.EDGE)["signing_keys"]
    scopes = {scope["role"]: scope for scope in keys}
    assert set(scopes) == {"robot", "robot-renewer"}
    assert scopes["robot"]["key"] != scopes["robot-renewer"]["key"]
    assert scopes["robot"]["template"] == scopes["robot-renewer"]["template"]
    assert KeyPair(identities.renewer_seed.read_bytes()).public == scopes["robot-renewer"]["key"]
