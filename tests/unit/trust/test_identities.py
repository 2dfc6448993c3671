"""The issuer keeps its keys, refuses unsafe names, and remembers whom it turned away."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fleetward.contracts.accounts import Account
from fleetward.contracts.errors import FleetwardError, InvalidIdError
from fleetward.contracts.rows import Principal
from fleetward.trust import nats_jwt
from fleetward.trust.identities import Identities, RevokedError
from fleetward.trust.nats_jwt import Claims, KeyPair, MalformedTokenError, claims_of, token_in

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
    assert account_claims(identities, Account.EDGE)["revocations"] == {user: NOW_S}
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
