"""A robot asks for its next credentials with both its keys, and confirms with the new one.

Who can make the old signature is the robot; who can make the new one holds what the new credentials are
made out to. So nobody is given credentials for a key of another, and a recorded question gives nothing:
its answer is of use to the holder of the new key alone.
"""

from __future__ import annotations

from typing import TypeVar

from msgspec import Struct

from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.ids import RobotId
from fleetward.contracts.robot_keys import (
    Confirmation,
    ConfirmCredentials,
    Renewal,
    RenewCredentials,
)
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.nkey_signatures import is_signed, message
from fleetward.trust.signing import SignatureError

_ASKED = "renew-credentials"
_CONFIRMED = "confirm-credentials"

_Said = TypeVar("_Said", bound=Struct)


def renewal_asked(robot: RobotId, key: KeyPair, next_key: KeyPair) -> RenewCredentials:
    """The robot's question."""
    payload = encode(Renewal(robot_id=robot, key=key.public, next_key=next_key.public))
    signed = message(_ASKED, payload)
    return RenewCredentials(
        robot_id=robot,
        payload=payload,
        signature=key.sign(signed),
        next_signature=next_key.sign(signed),
    )


def renewal_in(asked: RenewCredentials) -> Renewal:
    """What both keys signed; whose they are is for the caller to know. Raises SignatureError."""
    renewal = _read(asked.payload, Renewal, asked.robot_id)
    if renewal.robot_id != asked.robot_id:
        raise SignatureError(f"{asked.robot_id} shows the question of {renewal.robot_id}.")
    for public, signature in (
        (renewal.key, asked.signature),
        (renewal.next_key, asked.next_signature),
    ):
        _check(_ASKED, asked.payload, signature, public, asked.robot_id)
    return renewal


def confirmation(robot: RobotId, key: KeyPair) -> ConfirmCredentials:
    """The robot's word that it lives by ``key``."""
    payload = encode(Confirmation(robot_id=robot, key=key.public))
    signature = key.sign(message(_CONFIRMED, payload))
    return ConfirmCredentials(robot_id=robot, payload=payload, signature=signature)


def confirmed_in(said: ConfirmCredentials) -> Confirmation:
    """What the key that it names signed; raises SignatureError."""
    told = _read(said.payload, Confirmation, said.robot_id)
    if told.robot_id != said.robot_id:
        raise SignatureError(f"{said.robot_id} shows the confirmation of {told.robot_id}.")
    _check(_CONFIRMED, said.payload, said.signature, told.key, said.robot_id)
    return told


def _read(payload: bytes, kind: type[_Said], robot: RobotId) -> _Said:
    try:
        return decode(payload, kind)
    except UnreadableMessageError as problem:
        raise SignatureError(
            f"what {robot} signed about its credentials is no {kind.__name__}."
        ) from problem


def _check(purpose: str, payload: bytes, signature: bytes, public: str, robot: RobotId) -> None:
    if not is_signed(purpose, payload, signature, public):
        raise SignatureError(f"what {robot} says of its credentials is not signed by {public}.")
