"""Which key may follow which: nobody's but the robot's own, never after an operator's hand, never too often."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from msgspec.structs import replace

from fleetward.contracts.codec import encode
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import (
    KEYS_KEPT,
    Renewal,
    RenewCredentials,
    RobotKeysChanged,
    is_believed,
)
from fleetward.contracts.robots import RobotEnrolled
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.nkey_signatures import is_user_key
from fleetward.trust.renewals import confirmation, confirmed_in, renewal_asked, renewal_in
from fleetward.trust.signing import SignatureError
from fleetward.trust.succession import (
    KeyNotCurrentError,
    NotOfTheFleetError,
    RenewedTooSoonError,
    SuccessionLimits,
    begun,
    confirmed,
    renewed,
    standing,
)

ROBOT = RobotId("r1")
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
LIMITS = SuccessionLimits(life=timedelta(days=90), spacing=HOUR)
OLD, NEW, OTHER = (KeyPair.create("user") for _ in range(3))
ENROLLED = RobotEnrolled(robot_id=ROBOT, enrolled_at=NOW, public_key=OLD.public)
BEGUN = begun(ENROLLED)


def asked(key: KeyPair, next_key: KeyPair) -> Renewal:
    return Renewal(robot_id=ROBOT, key=key.public, next_key=next_key.public)


def later(
    keys: RobotKeysChanged, key: KeyPair, next_key: KeyPair, at: datetime
) -> RobotKeysChanged:
    return renewed(keys, asked(key, next_key), at, LIMITS)


ISSUED = later(BEGUN, OLD, NEW, NOW)
MOVED = confirmed(ISSUED, NEW.public, NOW + HOUR)


def alive(keys: RobotKeysChanged) -> set[str]:
    return {key.public_key for key in keys.keys if key.retired_at is None}


def test_both_keys_count_until_the_new_one_is_confirmed() -> None:
    assert (alive(ISSUED), ISSUED.current) == ({OLD.public, NEW.public}, OLD.public)
    assert (alive(MOVED), MOVED.current) == ({NEW.public}, NEW.public)
    issued = ISSUED.key(NEW.public)
    assert issued is not None
    assert issued.expires_at == NOW + LIMITS.life


def test_the_same_question_and_the_same_confirmation_change_nothing() -> None:
    assert later(ISSUED, OLD, NEW, NOW + HOUR / 2) is ISSUED
    assert confirmed(MOVED, NEW.public, NOW + 2 * HOUR) is MOVED


def test_another_key_takes_the_place_of_one_that_was_never_confirmed() -> None:
    again = later(ISSUED, OLD, OTHER, NOW + HOUR)
    assert alive(again) == {OLD.public, OTHER.public}
    with pytest.raises(KeyNotCurrentError):
        confirmed(again, NEW.public, NOW + HOUR)
    with pytest.raises(KeyNotCurrentError):
        later(again, OLD, NEW, NOW + 3 * HOUR)


@pytest.mark.parametrize(
    ("keys", "key", "next_key"),
    [
        (MOVED, OLD, OTHER),
        (ISSUED, NEW, OTHER),
        (MOVED, NEW, OLD),
        (MOVED, NEW, NEW),
        (BEGUN, OTHER, NEW),
        (BEGUN, OLD, KeyPair.create("account")),
        (BEGUN, OLD, KeyPair.create("operator")),
    ],
    ids=["replaced", "unproved", "back", "itself", "stranger", "account", "operator"],
)
def test_no_key_is_issued_after_another_than_the_current_or_twice_or_of_another_kind(
    keys: RobotKeysChanged, key: KeyPair, next_key: KeyPair
) -> None:
    with pytest.raises(KeyNotCurrentError):
        later(keys, key, next_key, NOW + 5 * HOUR)


def test_a_key_that_ended_is_followed_by_none() -> None:
    keys = begun(replace(ENROLLED, key_expires_at=NOW))
    with pytest.raises(KeyNotCurrentError, match="have ended"):
        later(keys, OLD, NEW, NOW)


def test_a_robot_gets_a_new_key_once_in_a_while_and_so_many_in_all() -> None:
    with pytest.raises(RenewedTooSoonError):
        later(ISSUED, OLD, OTHER, NOW + HOUR - timedelta(seconds=1))
    keys, at = BEGUN, NOW
    with pytest.raises(RenewedTooSoonError, match=f"{KEYS_KEPT} keys"):
        for _ in range(KEYS_KEPT + 1):
            at += HOUR
            keys = later(keys, OLD, KeyPair.create("user"), at)
    assert len(keys.keys) == KEYS_KEPT
    much_later = later(keys, OLD, OTHER, at + LIMITS.life)
    assert much_later.keys[0].public_key == OLD.public, "what never ends by itself is not forgotten"
    assert len(much_later.keys) == KEYS_KEPT


@pytest.mark.parametrize(
    "enrolled",
    [None, replace(ENROLLED, retired_at=NOW), replace(ENROLLED, public_key="")],
    ids=["unknown", "removed", "keyless"],
)
def test_who_is_not_of_the_fleet_has_no_keys(enrolled: RobotEnrolled | None) -> None:
    with pytest.raises(NotOfTheFleetError):
        standing(enrolled, MOVED)


def test_voided_keys_have_no_successor_until_the_robot_is_enrolled_with_another() -> None:
    closed = replace(MOVED, closed_at=NOW)
    with pytest.raises(KeyNotCurrentError):
        standing(ENROLLED, closed)
    anew = replace(ENROLLED, public_key=OTHER.public)
    assert standing(anew, closed) == begun(anew)
    assert standing(ENROLLED, MOVED) is MOVED
    assert standing(ENROLLED, None) == BEGUN


def test_what_was_signed_is_believed_while_its_key_counted() -> None:
    at, after = NOW + HOUR / 2, NOW + 2 * HOUR
    assert is_believed(OLD.public, None, OLD.public, after)
    assert is_believed(OLD.public, MOVED, OLD.public, at)
    assert not is_believed(OLD.public, MOVED, OLD.public, after)
    assert is_believed(OLD.public, MOVED, NEW.public, after)
    assert is_believed(OLD.public, ISSUED, NEW.public, at), "it moved, and did not say so yet"
    assert not is_believed(OLD.public, MOVED, OTHER.public, at)
    assert not is_believed(OLD.public, replace(MOVED, closed_at=after), NEW.public, at)
    assert not is_believed(OTHER.public, MOVED, NEW.public, at), "enrolled anew"
    assert not is_believed("", None, "", at)


QUESTION = renewal_asked(ROBOT, OLD, NEW)


def test_a_question_names_the_keys_that_signed_it() -> None:
    assert renewal_in(QUESTION) == asked(OLD, NEW)
    assert confirmed_in(confirmation(ROBOT, NEW)).key == NEW.public


@pytest.mark.parametrize(
    "forged",
    [
        replace(QUESTION, payload=encode(asked(OLD, OTHER))),
        replace(QUESTION, payload=b"\xc1"),
        replace(QUESTION, signature=QUESTION.next_signature),
        replace(QUESTION, next_signature=QUESTION.signature),
        replace(QUESTION, next_signature=b""),
        replace(QUESTION, robot_id=RobotId("r2")),
        RenewCredentials(
            robot_id=ROBOT,
            payload=QUESTION.payload,
            signature=OLD.sign(QUESTION.payload),
            next_signature=NEW.sign(QUESTION.payload),
        ),
    ],
    ids=["other key", "noise", "old unproved", "new unproved", "none", "carried", "challenge"],
)
def test_a_question_that_one_of_its_keys_did_not_sign_is_refused(forged: RenewCredentials) -> None:
    with pytest.raises(SignatureError):
        renewal_in(forged)


def test_a_question_is_no_confirmation_and_one_robots_is_not_anothers() -> None:
    said = confirmation(ROBOT, NEW)
    for forged in (
        replace(said, signature=QUESTION.next_signature),
        replace(said, robot_id=RobotId("r2")),
        replace(said, payload=QUESTION.payload, signature=QUESTION.next_signature),
    ):
        with pytest.raises(SignatureError):
            confirmed_in(forged)


@pytest.mark.parametrize(
    "otherwise",
    [
        lambda public: "",
        lambda public: public[:-1],
        lambda public: public + "A",
        lambda public: public.lower(),
        lambda public: public + "=",
        lambda public: public[:9] + ("A" if public[9] != "A" else "B") + public[10:],
        lambda public: "é" * 56,
    ],
    ids=["empty", "short", "long", "small", "padded", "one letter", "no letters"],
)
def test_a_public_key_is_written_in_one_way_only(otherwise: Callable[[str], str]) -> None:
    assert is_user_key(OLD.public)
    assert not is_user_key(otherwise(OLD.public))
