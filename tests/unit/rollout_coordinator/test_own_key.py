"""A coordinator that nobody would believe does not begin."""

from __future__ import annotations

from pathlib import Path

import pytest
from nats.aio.client import Client

from fleetward.trust.signing import TARGET, SignatureError, SigningKey, TrustedKeys
from rollout_coordinator.ledger import RolloutLedger


def test_own_key_must_be_trusted_by_the_directory_it_is_read_with(tmp_path: Path) -> None:
    trusted_key = SigningKey.create(tmp_path / "trusted.key")
    other_key = SigningKey.create(tmp_path / "other.key")
    trusted_key.publish(tmp_path, TARGET)
    trusted = TrustedKeys.load(tmp_path)

    RolloutLedger(Client(), trusted_key, trusted)
    with pytest.raises(SignatureError, match="is not trusted for 'target'"):
        RolloutLedger(Client(), other_key, trusted)
