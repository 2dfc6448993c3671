"""The receipt of a robot's newest swap, believed only under a key that was the robot's own then."""

from __future__ import annotations

from msgspec import Struct
from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.contracts.receipts import SwapReceipt, SwapReceiptSigned
from fleetward.contracts.robot_keys import RobotKeysChanged, is_believed
from fleetward.contracts.robots import RobotEnrolled
from fleetward.trust.receipts import receipt_in
from fleetward.trust.signing import SignatureError


class ShownReceipt(Struct, frozen=True, kw_only=True):
    """receipt: what the robot signed; None, and then ``refused`` says why, when its key did not."""

    receipt: SwapReceipt | None = None
    refused: str = ""


async def newest_receipt(connection: Client, robot: RobotEnrolled) -> ShownReceipt | None:
    """None: this robot has signed none yet."""
    value = await last_value(connection, SwapReceiptSigned, robot_id=robot.robot_id)
    if value is None:
        return None
    keys, signer = await last_value(connection, RobotKeysChanged, robot_id=robot.robot_id), ""
    known = keys.event if keys else None
    if is_believed(robot.public_key, known, value.event.key, value.stored_at):
        signer = value.event.key
    try:
        return ShownReceipt(receipt=receipt_in(value.event, signer or robot.public_key))
    except SignatureError as problem:
        return ShownReceipt(refused=str(problem))
