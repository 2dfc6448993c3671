"""A robot signs for the engines that it offers to its twins, with the key of its credentials."""

from __future__ import annotations

from fleetward.contracts.codec import encode
from fleetward.contracts.engines import EngineOffer, EngineOfferSigned
from fleetward.trust.nats_jwt import KeyPair
from fleetward.trust.nkey_signatures import message, signed_in
from fleetward.trust.signing import SignatureError

_PURPOSE = "engine-offer"


def signed_offer(offer: EngineOffer, key: KeyPair) -> EngineOfferSigned:
    """The offer under the robot's own key."""
    payload = encode(offer)
    return EngineOfferSigned(
        robot_id=offer.robot_id,
        payload=payload,
        key=key.public,
        signature=key.sign(message(_PURPOSE, payload)),
    )


def offer_in(signed: EngineOfferSigned) -> EngineOffer:
    """What was signed with ``signed.key``, whose key that is to be looked up; raises SignatureError."""
    refusal = f"the engine of {signed.robot_id} is not what {signed.key} signed for."
    offer = signed_in(_PURPOSE, signed.payload, signed.signature, signed.key, EngineOffer, refusal)
    if offer.robot_id != signed.robot_id:
        raise SignatureError(f"{signed.robot_id} shows what {offer.robot_id} offers.")
    return offer
