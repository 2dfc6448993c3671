"""A name is checked at every door: as typed by a person, and as bytes off the wire."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fleetward.contracts import ids
from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.errors import InvalidIdError
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robots import RobotNudged

UNSAFE = (
    *("", "*", ">", "a.b", "a b", "a/b", "../a", "a\n", "A", "é", "-a", "a-", "_a", "a_"),
    *("a" * 49, "a\x00", "{{name()}}", "$sys"),
)
CHECKS = (ids.robot_id, ids.rollout_id, ids.model_name, ids.alias_name)


@pytest.mark.parametrize("text", UNSAFE, ids=ascii)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_unsafe_name_is_refused_by_every_door(check: Callable[[str], str], text: str) -> None:
    with pytest.raises(InvalidIdError, match="is not valid"):
        check(text)


@pytest.mark.parametrize("text", UNSAFE, ids=ascii)
def test_unsafe_name_on_the_wire_is_refused_too(text: str) -> None:
    with pytest.raises(UnreadableMessageError):
        decode(encode(RobotNudged(robot_id=RobotId(text))), RobotNudged)


@given(some.from_regex(r"[a-z0-9]([a-z0-9_-]{0,46}[a-z0-9])?", fullmatch=True))
def test_safe_name_passes_both_doors(text: str) -> None:
    assert ids.robot_id(text) == text
    assert decode(encode(RobotNudged(robot_id=RobotId(text))), RobotNudged).robot_id == text


@given(some.text(max_size=60))
def test_both_doors_agree_on_any_text(text: str) -> None:
    def passes(door: Callable[[], object]) -> bool:
        try:
            door()
        except (InvalidIdError, UnreadableMessageError):
            return False
        return True

    payload = encode(RobotNudged(robot_id=RobotId(text)))
    assert passes(lambda: ids.robot_id(text)) is passes(lambda: decode(payload, RobotNudged))


@pytest.mark.parametrize("text", ["1", "1.2.3", "v1.0-rc1", "2024+build_7"])
def test_versions_people_write_are_accepted(text: str) -> None:
    assert ids.version(text) == text


@pytest.mark.parametrize("text", ["", "1..2", ".1", "1.", "1/2", "1 2", "1:2", "1@2", "v" * 49])
def test_versions_unsafe_in_a_path_are_refused(text: str) -> None:
    with pytest.raises(InvalidIdError):
        ids.version(text)


def test_digest_is_sha256_in_lower_case_hex() -> None:
    good = "sha256:" + "0f" * 32
    assert ids.digest(good) == good
    for bad in (good.upper(), good[:-1], good + "0", "md5:" + "0" * 64, good + "\n"):
        with pytest.raises(InvalidIdError, match="must be sha256"):
            ids.digest(bad)


@pytest.mark.parametrize("text", ["detector:2", "detector@stable"])
def test_model_selector_reads_back_as_it_was_written(text: str) -> None:
    assert str(ids.model_selector(text)) == text


@pytest.mark.parametrize("text", ["detector", "detector:", ":1", "@", "a@b@c", "a:1:2", ""])
def test_model_that_names_no_version_and_no_alias_is_refused(text: str) -> None:
    with pytest.raises(InvalidIdError):
        ids.model_selector(text)
