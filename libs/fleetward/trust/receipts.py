"""A robot signs its receipts with the key of its credentials, and anybody may check them.

The same key answers the bus's challenges: a server sends text, and the robot signs it. What is signed
here begins with a byte that no UTF-8 text holds, so that no challenge can be a receipt.
"""

from __future__ import annotations

import base64
import binascii

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from fleetward.contracts.codec import UnreadableMessageError, decode, encode
from fleetward.contracts.receipts import SwapReceipt, SwapReceiptSigned
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.signing import SignatureError

_PREFIX = b"\xffswap-receipt\0"
_PUBLIC_BYTES = 35
"""A kind, 32 bytes of key, two of checksum."""


def signed_receipt(receipt: SwapReceipt, key: KeyPair) -> SwapReceiptSigned:
    """The receipt under the robot's own key."""
    payload = encode(receipt)
    return SwapReceiptSigned(
        robot_id=receipt.robot_id,
        payload=payload,
        key=key.public,
        signature=key.sign(_PREFIX + payload),
    )


def receipt_in(signed: SwapReceiptSigned, public_key: str) -> SwapReceipt:
    """What the robot signed with ``public_key``, its own; raises SignatureError."""
    if not public_key or signed.key != public_key:
        raise SignatureError(
            f"the receipt of {signed.robot_id} is signed with {signed.key}, and its key is "
            f"{public_key or 'not known: enrol it again'}."
        )
    try:
        _verify_key(public_key).verify(_PREFIX + signed.payload, signed.signature)
        receipt = decode(signed.payload, SwapReceipt)
    except (BadSignatureError, ValueError, UnreadableMessageError) as problem:
        raise SignatureError(
            f"the receipt of {signed.robot_id} is not what {signed.key} signed."
        ) from problem
    if receipt.robot_id != signed.robot_id:
        raise SignatureError(f"{signed.robot_id} shows the receipt of {receipt.robot_id}.")
    return receipt


def _verify_key(public: str) -> VerifyKey:
    try:
        raw = base64.b32decode(public + "=" * (-len(public) % 8))
    except binascii.Error as problem:
        raise ValueError(f"{public} is no public nkey") from problem
    if len(raw) != _PUBLIC_BYTES:
        raise ValueError(f"{public} is no public nkey")
    return VerifyKey(raw[1:-2])
