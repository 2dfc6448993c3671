"""Each attack that TUF's own rules let through, by its name, and how a robot follows new roots."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from fleetward.contracts.ids import Digest, ModelRef, RobotId, Version
from fleetward.trust.errors import NotFreshError, UntrustedMetadataError
from fleetward.trust.floors import Anchor
from fleetward.trust.following import believed_keys, follow, timestamp_version
from fleetward.trust.listing import listed
from fleetward.trust.roles import (
    COMMANDS,
    MAX_METADATA_BYTES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
)
from fleetward.trust.signing import TARGET, SigningKey
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


def test_a_robot_learns_what_is_published_and_is_sent_only_what_is_new(
    authority: Authority, robot: Robot
) -> None:
    assert robot.lists("v1") is not None
    assert set(authority.answer(robot.ask()).roles) == {TIMESTAMP}
    authority.publish(DET, "v2", V2, 2)
    assert set(authority.answer(robot.ask()).roles) == {TIMESTAMP, SNAPSHOT, DET_ROLE}
    robot.refresh(authority)
    listed = robot.lists("v2")
    assert listed is not None
    assert listed.describes(V2)


def test_withdrawn_versions_are_listed_no_more(authority: Authority, robot: Robot) -> None:
    authority.withdraw(ModelRef(DET, Version("v1")))
    robot.refresh(authority)
    assert robot.lists("v1") is None


def test_stolen_timestamp_and_snapshot_on_a_fresh_robot(authority: Authority) -> None:
    old_list = authority.roles[DET_ROLE]
    authority.publish(DET, "v2", V2, 2)

    def attacked(anchor: Anchor) -> Robot:
        robot = Robot(anchor)
        asked = robot.ask()
        forged = stolen_timestamp_and_snapshot(authority, asked, old_list, version=1)
        robot.kept = follow(robot.kept, asked, forged)
        return robot

    assert attacked(authority.anchor()).lists("v2") is None, (
        "the attack works where nothing is pinned"
    )
    with pytest.raises(UntrustedMetadataError, match="when this robot was enrolled"):
        attacked(authority.anchor(pinned=True))


def test_freeze_inside_validity(authority: Authority, robot: Robot) -> None:
    asked = robot.ask()
    yesterday = authority.answer(asked)
    authority.publish(DET, "v2", V2, 2)
    authority.later(hours=1)
    again = robot.ask()
    with pytest.raises(NotFreshError, match="replay"):
        follow(robot.kept, again, yesterday)
    held_back = replace(yesterday, proof=authority.answer(again).proof)
    with pytest.raises(NotFreshError, match="holds newer metadata back"):
        follow(robot.kept, again, held_back)


def test_clock_of_the_registry_set_back_ten_years(authority: Authority, robot: Robot) -> None:
    old = dict(authority.roles)
    authority.later(days=3)
    robot.refresh(authority)
    known = timestamp_version(robot.kept)
    authority.now -= timedelta(days=3650)
    with pytest.raises(NotFreshError, match="set the clock"):
        robot.refresh(authority)
    with pytest.raises(NotFreshError, match="set the clock"):
        robot.refresh(authority, lambda answer: replace(answer, roles=old))
    assert timestamp_version(robot.kept) == known


def test_answer_for_robot_a_given_to_robot_b(authority: Authority, robot: Robot) -> None:
    other = Robot(authority.anchor(), RobotId("r2"))
    asked = robot.ask()
    with pytest.raises(NotFreshError, match="another question, of r1"):
        follow(other.kept, replace(other.ask(), nonce=asked.nonce), authority.answer(asked))


def test_fast_forward_ends_with_the_thief_s_key(authority: Authority, robot: Robot) -> None:
    thief = authority.keys[TIMESTAMP][0]
    asked = robot.ask()
    answer = authority.answer(asked)
    ahead = remade(answer.roles[TIMESTAMP], lambda signed: setattr(signed, "version", 2**31), thief)
    far = proved_by(thief, with_roles(answer, timestamp=ahead), asked, authority)
    robot.kept = follow(robot.kept, asked, far)
    with pytest.raises(UntrustedMetadataError, match="BadVersionNumberError"):
        robot.refresh(authority)
    fresh: dict[str, list[SigningKey]] = {TIMESTAMP: [authority.new_key()]}
    authority.rotate(fresh, authority.keys[ROOT][:2])
    robot.refresh(authority)
    assert timestamp_version(robot.kept) < 2**31


# --- rotation -----------------------------------------------------------------------------------


def test_a_robot_follows_roots_that_it_slept_through(authority: Authority, robot: Robot) -> None:
    for _ in range(3):
        new = {ROOT: [authority.new_key() for _ in range(3)], COMMANDS: [authority.new_key()]}
        signers = [*authority.keys[ROOT][:2], *new[ROOT][:2]]
        authority.rotate(new, signers)
    robot.refresh(authority)
    assert robot.kept.root == authority.root
    trusted = believed_keys(robot.kept.root)
    assert trusted.knows(TARGET, authority.commands.key_id)


def test_the_registry_signs_nothing_on_top_of_what_it_did_not_sign(authority: Authority) -> None:
    stranger = authority.new_key()
    for role in (TARGETS, DET_ROLE, SNAPSHOT, TIMESTAMP):
        kept = authority.roles[role]
        authority.roles[role] = remade(kept, lambda signed: None, stranger)
        with pytest.raises(UntrustedMetadataError, match="somebody else wrote it"):
            authority.publish(DET, "v3", b"v3", 3)
        authority.roles[role] = kept


def test_a_model_of_500_versions_fits_into_its_role(authority: Authority) -> None:
    entry = listed(b"x" * 3000, Digest("sha256:" + "a" * 64), 500, fallback=True)
    authority.list_also(DET, {Version("v" * 44 + str(n)): entry for n in range(100, 600)})
    assert len(authority.roles[DET_ROLE]) < MAX_METADATA_BYTES // 2
