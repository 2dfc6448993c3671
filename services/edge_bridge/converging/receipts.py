"""Writes and signs the receipt of a swap: what serves, how it came to, and how the machine was then."""

from __future__ import annotations

import logging
from datetime import datetime

from edge_bridge.converging.outcome import Proof
from edge_bridge.credentials.keyring import Keyring, NoCredentialsError
from edge_bridge.telemetry.surroundings import Surroundings
from edge_bridge.workers.comparison import Comparison
from fleetward.bus.logs import log
from fleetward.contracts.ids import BootId, Digest
from fleetward.contracts.receipts import SwapReceipt, SwapReceiptSigned
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.receipts import signed_receipt

_logger = logging.getLogger(__name__)

MAX_OUTPUTS = 32
"""Of a model, in a receipt."""


class Receipts:
    """One run of one robot's bridge."""

    def __init__(self, keyring: Keyring, boot_id: BootId, surroundings: Surroundings) -> None:
        self._keyring = keyring
        self._boot_id = boot_id
        self._surroundings = surroundings
        self._compared: dict[Digest, Comparison] = {}

    def compared(self, digest: Digest, seen: Comparison) -> None:
        """This model was a shadow, and did so. Only the newest comparison is kept."""
        self._compared = {digest: seen}

    def of(self, target: RobotTarget, proof: Proof, now: datetime) -> SwapReceiptSigned | None:
        """The receipt of a proved target; None, and why in the log, when it cannot be signed.

        Blocks for readings of sensors, milliseconds each.
        """
        try:
            key = self._keyring.signing_key
        except NoCredentialsError as problem:
            log(_logger, "receipt.unsigned", level=logging.ERROR, reason=str(problem))
            return None
        return signed_receipt(self._receipt(target, proof, now), key)

    def _receipt(self, target: RobotTarget, proof: Proof, now: datetime) -> SwapReceipt:
        loaded, seen = proof.warm_up, self._compared.get(target.digest)
        divergence = sorted(seen.divergence().items()) if seen else []
        return SwapReceipt(
            robot_id=target.robot_id,
            boot_id=self._boot_id,
            rollout_id=target.rollout_id,
            generation=target.generation,
            model=target.model,
            digest=loaded.digest_mapped if loaded else target.digest,
            inferences=proof.inferences,
            swap_ms=proof.swap_ms,
            backend=loaded.backend if loaded else "",
            engine_key=loaded.engine_key if loaded else "",
            warm_up_p99_ms=loaded.warm_up_p99_ms if loaded else 0.0,
            parity=dict(divergence[:MAX_OUTPUTS]),
            parity_frames=seen.frames if seen else 0,
            temperatures_c=self._surroundings.temperatures_c(),
            power_mode=self._surroundings.power_mode(),
            signed_at=now,
        )
