"""A receipt is a robot's own word: nobody else's key, payload or name passes for it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from msgspec import structs

from fleetward.contracts.codec import encode
from fleetward.contracts.ids import BootId, ModelRef, RobotId, RolloutId, model_name, version
from fleetward.contracts.receipts import SwapReceipt, SwapReceiptSigned
from fleetward.trust.nats_jwt import KeyPair, MalformedTokenError, credentials, key_in
from fleetward.trust.nkey_signatures import message
from fleetward.trust.receipts import receipt_in, signed_receipt
from fleetward.trust.signing import SignatureError
from testkit.telemetry import digest_of

RECEIPT = SwapReceipt(
    robot_id=RobotId("r1"),
    boot_id=BootId("b1"),
    rollout_id=RolloutId("ro-1"),
    generation=3,
    model=ModelRef(model_name("detector"), version("1.4.0")),
    digest=digest_of("a"),
    inferences=20,
    swap_ms=4.0,
    signed_at=datetime(2026, 1, 1, tzinfo=timezone.utc),
)
KEY, OTHER = KeyPair.create("user"), KeyPair.create("user")
SIGNED = signed_receipt(RECEIPT, KEY)


def test_a_receipt_is_read_under_the_key_that_the_robot_was_enrolled_with() -> None:
    assert receipt_in(SIGNED, KEY.public) == RECEIPT


@pytest.mark.parametrize(
    "forged",
    [
        structs.replace(SIGNED, payload=encode(structs.replace(RECEIPT, generation=4))),
        structs.replace(SIGNED, payload=b""),
        structs.replace(SIGNED, signature=bytes(64)),
        structs.replace(SIGNED, signature=b""),
        structs.replace(signed_receipt(RECEIPT, OTHER), key=KEY.public),
        signed_receipt(RECEIPT, OTHER),
        structs.replace(SIGNED, robot_id=RobotId("r2")),
        SwapReceiptSigned(
            robot_id=RobotId("r1"),
            payload=SIGNED.payload,
            key=KEY.public,
            signature=KEY.sign(SIGNED.payload),
        ),
    ],
    ids=["payload", "empty", "zeros", "short", "claimed", "foreign", "carried", "challenge"],
)
def test_what_the_robot_did_not_sign_as_its_receipt_is_refused(forged: SwapReceiptSigned) -> None:
    with pytest.raises(SignatureError):
        receipt_in(forged, KEY.public)


@pytest.mark.parametrize("known", ["", "nonsense", OTHER.public], ids=["none", "nonsense", "other"])
def test_no_key_and_a_wrong_key_check_nothing(known: str) -> None:
    with pytest.raises(SignatureError):
        receipt_in(SIGNED, known)
    with pytest.raises(SignatureError):
        receipt_in(structs.replace(SIGNED, key=known), known)


def test_no_challenge_of_a_server_can_be_a_receipt() -> None:
    """Clients sign a challenge as UTF-8 text."""
    with pytest.raises(UnicodeDecodeError):
        message("swap-receipt", b"").decode()


def test_the_key_of_credentials_is_found_and_a_file_without_one_is_named() -> None:
    assert key_in(credentials("a.b.c", KEY).decode()).public == KEY.public
    for text in ("", "-----BEGIN USER NKEY SEED-----\nSUnonsense\n"):
        with pytest.raises(MalformedTokenError):
            key_in(text)
