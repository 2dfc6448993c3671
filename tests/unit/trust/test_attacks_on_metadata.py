"""Each attack that TUF's rules stop, by its name, against the code that robots run."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace
from tuf.api.metadata import MetaFile

from fleetward.contracts.trust import RoleName, TrustRefreshed
from fleetward.trust.errors import NotFreshError, RootRefusedError, UntrustedMetadataError
from fleetward.trust.following import follow
from fleetward.trust.roles import (
    MAX_METADATA_BYTES,
    MAX_ROOTS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
)
from fleetward.trust.roots import missing_signatures, next_root, sign_root
from fleetward.trust.signing import SigningKey
from testkit.authority import Authority
from tests.unit.trust.thief import (
    DET,
    DET_ROLE,
    V2,
    Robot,
    proved_by,
    remade,
    stolen_timestamp_and_snapshot,
    with_roles,
)


def test_replaced_blob_of_the_same_length(robot: Robot) -> None:
    listed = robot.lists("v1")
    assert listed is not None
    assert not listed.describes(b"manifest of vX")


def test_unknown_keys(authority: Authority, robot: Robot) -> None:
    stranger = authority.new_key()

    def forge(answer: TrustRefreshed) -> TrustRefreshed:
        timestamp = remade(answer.roles[TIMESTAMP], lambda signed: None, stranger)
        return with_roles(answer, timestamp=timestamp)

    with pytest.raises(UntrustedMetadataError, match="0/1 keys"):
        Robot(authority.anchor()).refresh(authority, forge)


def test_one_of_two_keys_stolen(authority: Authority, robot: Robot) -> None:
    stolen = authority.keys[ROOT][0]
    own = authority.plan({TARGETS: [authority.new_key()]})
    forged = sign_root(next_root(authority.root, own), stolen)
    with pytest.raises(UntrustedMetadataError, match="1/2 keys"):
        robot.refresh(authority, lambda answer: replace(answer, roots=(forged,)))


def test_duplicated_signature(authority: Authority, robot: Robot) -> None:
    forged = json.loads(
        sign_root(next_root(authority.root, authority.plan()), authority.keys[ROOT][0])
    )
    forged["signatures"] *= 2
    twice = json.dumps(forged).encode()
    with pytest.raises(UntrustedMetadataError):
        robot.refresh(authority, lambda answer: replace(answer, roots=(twice,)))


def test_one_key_under_two_names(authority: Authority, robot: Robot) -> None:
    forged = json.loads(next_root(authority.root, authority.plan()))
    held = authority.keys[ROOT][0]
    (key_id,) = {
        name
        for name, key in forged["signed"]["keys"].items()
        if key["keyval"]["public"] == held.public_bytes.hex()
    }
    forged["signed"]["keys"]["0" * 64] = forged["signed"]["keys"][key_id]
    forged["signed"]["roles"][ROOT]["keyids"] = [key_id, "0" * 64]
    with pytest.raises(RootRefusedError, match="not named by the SHA-256"):
        sign_root(json.dumps(forged).encode(), held)


def test_old_repository_replayed(authority: Authority, robot: Robot) -> None:
    old = dict(authority.roles)
    authority.publish(DET, "v2", V2, 2)
    robot.refresh(authority)
    asked = robot.ask()
    replay = proved_by(
        authority.keys[TIMESTAMP][0], replace(authority.answer(asked), roles=old), asked, authority
    )
    with pytest.raises(UntrustedMetadataError, match="BadVersionNumberError"):
        follow(robot.kept, asked, replay)


def test_timestamp_key_stolen(authority: Authority, robot: Robot) -> None:
    thief = authority.keys[TIMESTAMP][0]
    asked = robot.ask()
    answer = authority.answer(asked)

    def ahead(timestamp: object) -> None:
        vars(timestamp)["version"] += 1
        vars(timestamp)["snapshot_meta"] = MetaFile(99)

    forged = with_roles(
        answer,
        timestamp=remade(answer.roles[TIMESTAMP], ahead, thief),
        snapshot=remade(
            authority.roles[SNAPSHOT], lambda signed: setattr(signed, "version", 99), thief
        ),
    )
    with pytest.raises(UntrustedMetadataError, match="snapshot was signed by 0/1"):
        follow(robot.kept, asked, proved_by(thief, forged, asked, authority))


def test_timestamp_and_snapshot_keys_stolen(authority: Authority, robot: Robot) -> None:
    old_list = authority.roles[DET_ROLE]
    authority.publish(DET, "v2", V2, 2)
    robot.refresh(authority)
    asked = robot.ask()
    forged = stolen_timestamp_and_snapshot(authority, asked, old_list, version=1)
    with pytest.raises(UntrustedMetadataError, match="BadVersionNumberError"):
        follow(robot.kept, asked, forged)


def test_expired_replay(authority: Authority) -> None:
    old = dict(authority.roles)
    authority.later(days=2)
    robot = Robot(authority.anchor())
    asked = robot.ask()
    replay = replace(authority.answer(asked), roles=old)
    proved = proved_by(authority.keys[TIMESTAMP][0], replay, asked, authority)
    with pytest.raises(UntrustedMetadataError, match=r"timestamp\.json is expired"):
        follow(robot.kept, asked, proved)


def test_old_targets_with_new_snapshot(authority: Authority) -> None:
    old_list = authority.roles[DET_ROLE]
    authority.publish(DET, "v2", V2, 2)
    robot = Robot(authority.anchor())
    with pytest.raises(UntrustedMetadataError, match="BadVersionNumberError"):
        robot.refresh(authority, lambda answer: with_roles(answer, model_det=old_list))


@pytest.mark.parametrize("role", [TIMESTAMP, SNAPSHOT, TARGETS, DET_ROLE])
def test_endless_metadata(authority: Authority, robot: Robot, role: RoleName) -> None:
    endless = b"{" + b" " * MAX_METADATA_BYTES
    with pytest.raises(UntrustedMetadataError, match="is more than"):
        robot.refresh(
            authority, lambda answer: replace(answer, roles={**answer.roles, role: endless})
        )


def test_endless_roots(authority: Authority, robot: Robot) -> None:
    with pytest.raises(UntrustedMetadataError, match="more roots than"):
        robot.refresh(
            authority, lambda answer: replace(answer, roots=(authority.root,) * (MAX_ROOTS + 1))
        )


def test_root_below_threshold(authority: Authority, robot: Robot) -> None:
    new = [authority.new_key() for _ in range(3)]
    unsigned = next_root(authority.root, authority.plan({ROOT: new}))
    by_the_old = sign_root(sign_root(unsigned, authority.keys[ROOT][0]), authority.keys[ROOT][1])
    assert "its own keys" in (missing_signatures(by_the_old, authority.root) or "")
    for forged in (unsigned, by_the_old, sign_root(by_the_old, new[0])):
        with pytest.raises(UntrustedMetadataError, match="/2 keys"):
            robot.refresh(authority, lambda answer, root=forged: replace(answer, roots=(root,)))  # type: ignore[misc]  # bound now


def test_revoked_keys(authority: Authority, robot: Robot) -> None:
    revoked = {role: authority.keys[role][0] for role in (TARGETS, SNAPSHOT, TIMESTAMP)}
    before = dict(authority.roles)
    fresh: dict[str, list[SigningKey]] = {role: [authority.new_key()] for role in revoked}
    authority.rotate(fresh, authority.keys[ROOT][1:])
    robot.refresh(authority)
    asked = robot.ask()
    for old in (before, {**authority.roles, TIMESTAMP: before[TIMESTAMP]}):
        replay = replace(authority.answer(asked), roles=old)
        with pytest.raises(NotFreshError, match="not trusted"):
            follow(robot.kept, asked, proved_by(revoked[TIMESTAMP], replay, asked, authority))
        with pytest.raises(UntrustedMetadataError, match="0/1 keys"):
            follow(robot.kept, asked, proved_by(fresh[TIMESTAMP][0], replay, asked, authority))
