"""Which key of a robot may follow which: decided from what is written down, never from who is faster.

Pure. Whoever stores a change compares it with what it read and sets it, so that of two questions at once,
or a question and an operator's hand, the second is decided again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from fleetward.contracts.robot_keys import (
    CREDENTIAL_DAYS,
    KEYS_KEPT,
    Renewal,
    RobotKey,
    RobotKeysChanged,
)
from fleetward.contracts.robots import RobotEnrolled
from fleetward.trust.errors import TrustError
from fleetward.trust.nkey_signatures import is_user_key


class NotOfTheFleetError(TrustError):
    """Nobody enrolled this robot, or it was taken out of the fleet."""


class KeyNotCurrentError(TrustError):
    """Another key took the place of this one, or an operator voided all of the robot's."""


class RenewedTooSoonError(TrustError):
    """The robot was given new credentials a moment ago."""


class SuccessionLimits(Struct, frozen=True, kw_only=True):
    """life: of the credentials that are issued. spacing: between two new keys of one robot."""

    life: timedelta = timedelta(days=CREDENTIAL_DAYS)
    spacing: timedelta = timedelta(hours=1)


def standing(enrolled: RobotEnrolled | None, known: RobotKeysChanged | None) -> RobotKeysChanged:
    """The robot's keys today; raises NotOfTheFleetError, KeyNotCurrentError when all are void."""
    if enrolled is None or enrolled.retired_at is not None:
        raise NotOfTheFleetError("this robot does not belong to the fleet. Enrol it first.")
    if not enrolled.public_key:
        raise NotOfTheFleetError(
            f"nobody wrote down the key of {enrolled.robot_id}. Enrol it again."
        )
    if known is None or known.enrolled_key != enrolled.public_key:
        return begun(enrolled)
    if known.closed_at is not None:
        raise KeyNotCurrentError(f"the keys of {enrolled.robot_id} were voided. Enrol it again.")
    return known


def begun(enrolled: RobotEnrolled) -> RobotKeysChanged:
    """The keys of a robot that never renewed the one it was enrolled with."""
    key, at = enrolled.public_key, enrolled.enrolled_at
    first = RobotKey(public_key=key, issued_at=at, expires_at=enrolled.key_expires_at)
    return RobotKeysChanged(
        robot_id=enrolled.robot_id, enrolled_key=key, keys=(first,), current=key, changed_at=at
    )


def renewed(
    keys: RobotKeysChanged, asked: Renewal, now: datetime, limits: SuccessionLimits
) -> RobotKeysChanged:
    """With the next key issued; the very ``keys`` when it was already. The current one still counts.

    Raises KeyNotCurrentError, RenewedTooSoonError.
    """
    _refuse_not_current(keys, asked.key, now)
    issued = keys.key(asked.next_key)
    if issued is not None and issued.retired_at is None and asked.next_key != keys.current:
        return keys
    if issued is not None or not is_user_key(asked.next_key):
        raise KeyNotCurrentError(f"{asked.next_key} is not a new key. Make another.")
    _refuse_too_soon(keys, now, limits)
    at = now.replace(microsecond=0)
    fresh = RobotKey(public_key=asked.next_key, issued_at=at, expires_at=at + limits.life)
    older = tuple(
        _retired(key, now) if key.public_key != keys.current else key for key in keys.keys
    )
    return replace(keys, keys=(*_kept(older, now), fresh), changed_at=now)


def confirmed(keys: RobotKeysChanged, key: str, now: datetime) -> RobotKeysChanged:
    """With ``key`` as the only one that counts; the very ``keys`` when it is. Raises KeyNotCurrentError."""
    held = keys.key(key)
    if held is None or held.retired_at is not None:
        raise KeyNotCurrentError(f"{key} is no key of {keys.robot_id}, or another took its place.")
    if key == keys.current:
        return keys
    others = tuple(one if one.public_key == key else _retired(one, now) for one in keys.keys)
    return replace(keys, keys=others, current=key, changed_at=now)


def _refuse_not_current(keys: RobotKeysChanged, key: str, now: datetime) -> None:
    held = keys.key(keys.current)
    if key != keys.current:
        raise KeyNotCurrentError(f"{key} is not the key that {keys.robot_id} has now.")
    if held is not None and held.expires_at is not None and held.expires_at <= now:
        raise KeyNotCurrentError(f"the credentials of {keys.robot_id} have ended. Enrol it again.")


def _refuse_too_soon(keys: RobotKeysChanged, now: datetime, limits: SuccessionLimits) -> None:
    if len(keys.keys) > 1 and now - keys.keys[-1].issued_at < limits.spacing:
        raise RenewedTooSoonError(
            f"{keys.robot_id} was given a key at {keys.keys[-1].issued_at:%Y-%m-%d %H:%M:%S} UTC; the "
            f"next is given after {limits.spacing}."
        )
    if sum(not _is_over(key, now) for key in keys.keys) >= KEYS_KEPT:
        raise RenewedTooSoonError(f"{keys.robot_id} has {KEYS_KEPT} keys that did not end yet.")


def _kept(keys: tuple[RobotKey, ...], now: datetime) -> tuple[RobotKey, ...]:
    """Without the oldest that are over, so that there is room for one more."""
    spare = len(keys) + 1 - KEYS_KEPT
    over = [key for key in keys if _is_over(key, now)][: max(0, spare)]
    return tuple(key for key in keys if key not in over)


def _is_over(key: RobotKey, now: datetime) -> bool:
    """Retired, and dead without anybody's doing."""
    ended = key.expires_at is not None and key.expires_at <= now
    return ended and key.retired_at is not None


def _retired(key: RobotKey, now: datetime) -> RobotKey:
    return key if key.retired_at is not None else replace(key, retired_at=now)
