"""A robot signs its receipts with the key of its credentials, and anybody may check them."""

from __future__ import annotations

from fleetward.contracts.codec import encode
from fleetward.contracts.receipts import SwapReceipt, SwapReceiptSigned
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.nkey_signatures import message, signed_in
from fleetward.trust.signing import SignatureError

_PURPOSE = "swap-receipt"


def signed_receipt(receipt: SwapReceipt, key: KeyPair) -> SwapReceiptSigned:
    """The receipt under the robot's own key."""
    payload = encode(receipt)
    return SwapReceiptSigned(
        robot_id=receipt.robot_id,
        payload=payload,
        key=key.public,
        signature=key.sign(message(_PURPOSE, payload)),
    )


def receipt_in(signed: SwapReceiptSigned, public_key: str) -> SwapReceipt:
    """What the robot signed with ``public_key``, its own; raises SignatureError."""
    if not public_key or signed.key != public_key:
        raise SignatureError(
            f"the receipt of {signed.robot_id} is signed with {signed.key}, and its key is "
            f"{public_key or 'not known: enrol it again'}."
        )
    refusal = f"the receipt of {signed.robot_id} is not what {signed.key} signed."
    receipt = signed_in(
        _PURPOSE, signed.payload, signed.signature, public_key, SwapReceipt, refusal
    )
    if receipt.robot_id != signed.robot_id:
        raise SignatureError(f"{signed.robot_id} shows the receipt of {receipt.robot_id}.")
    return receipt
