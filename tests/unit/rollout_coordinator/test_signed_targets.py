"""Targets are signed one after the other, and each is the one its robot verifies."""

from __future__ import annotations

from pathlib import Path

from fleetward.contracts.codec import decode
from fleetward.contracts.robots import RobotTarget
from fleetward.trust.signing import TARGET, SigningKey, TrustedKeys
from rollout_coordinator.advance import begun
from rollout_coordinator.signed_targets import SIGNED_AT_ONCE, signed
from rollout_coordinator.target_of import target_of
from tests.unit.rollout_coordinator.scenes import START, planned


async def test_every_target_is_signed_in_its_order_however_many_there_are(tmp_path: Path) -> None:
    key = SigningKey.create(tmp_path / "target.seed")
    trusted = TrustedKeys.load(key.publish(tmp_path, TARGET).parent)
    step = begun(planned(2 * SIGNED_AT_ONCE + 1), START)
    targets = [target_of(step.rollout, order, START) for order in step.targets]
    for count in (0, 1, SIGNED_AT_ONCE, SIGNED_AT_ONCE + 1, len(targets)):
        made = [each async for each in signed(key, targets[:count], "")]
        for each in made:
            trusted.verify(TARGET, each.payload, each.key_id, each.signature)
        assert [decode(each.payload, RobotTarget) for each in made] == targets[:count]
        assert [each.robot_id for each in made] == [each.robot_id for each in targets[:count]]
