"""The issuer keeps its keys, refuses unsafe names, and remembers whom it turned away."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from fleetward.contracts.errors import FleetwardError, InvalidIdError
from fleetward.contracts.ids import RobotId
from fleetward.contracts.rows import Principal
from fleetward.trust import nats_jwt
from fleetward.trust.identities import Identities, RevokedError
from fleetward.trust.nats_jwt import KeyPair, MalformedTokenError, claims_of, token_in

NOW_S = 1_700_000_000


@pytest.fixture
def identities(tmp_path: Path) -> Identities:
    return Identities(tmp_path / "keys", tmp_path / "credentials", now=lambda: float(NOW_S))


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
        "issuer_account": identities.edge.public,
    }


@pytest.mark.parametrize("name", ["*", ">", "a.b", "", "a\n", "../a", "A", "a b", "$sys", "a" * 49])
def test_unsafe_name_gets_no_credentials(identities: Identities, name: str) -> None:
    with pytest.raises(InvalidIdError):
        identities.issue_robot(name)
    with pytest.raises(InvalidIdError):
        identities.user_token(KeyPair.create("user").public, name, "robot", identities.edge)


def test_robot_is_not_issued_as_a_service(identities: Identities) -> None:
    with pytest.raises(FleetwardError, match="use issue_robot"):
        identities.issue(Principal.ROBOT)


def test_revoked_user_is_in_the_account_and_gets_no_new_token(identities: Identities) -> None:
    user = user_of(identities.issue_robot("robot-a"))
    identities.revoke_robot(RobotId("robot-a"))
    edge = claims_of(identities.server_trust().accounts[identities.edge.public])
    assert edge["nats"]["revocations"] == {user: NOW_S}
    with pytest.raises(RevokedError):
        identities.user_token(user, "robot-a", "robot", identities.edge)
    assert user_of(identities.issue_robot("robot-a")) != user


def test_robots_account_has_no_storage_no_exports_and_no_leaf_nodes(identities: Identities) -> None:
    edge = claims_of(identities.server_trust().accounts[identities.edge.public])["nats"]
    assert edge["exports"] == []
    assert edge["limits"]["leaf"] == 0
    assert edge["limits"]["disallow_bearer"] is True
    assert "disk_storage" not in edge["limits"]


def test_every_import_is_activated_for_the_robots_account_alone(identities: Identities) -> None:
    edge = claims_of(identities.server_trust().accounts[identities.edge.public])["nats"]
    assert edge["imports"]
    for entry in edge["imports"]:
        activation = claims_of(entry["token"])
        assert activation["iss"] == identities.core.public
        assert activation["sub"] == identities.edge.public
        assert activation["nats"]["subject"] == entry["subject"]


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.!!!!.c", "a.AAAA.c"])
def test_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(MalformedTokenError):
        nats_jwt.claims_of(text)
