"""What alerting and the registry say that takes a model back."""

from __future__ import annotations

from fleetward.bus.batch import Write, write_atomically
from fleetward.contracts.alerts import AlertFired, Severity
from fleetward.contracts.codec import encode
from fleetward.contracts.curation import SignedWithdrawals, Withdrawals
from fleetward.contracts.ids import AlertName, ModelName, RobotId, Version
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.rows import Principal
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import Fleet
from tests.integration.rollout_coordinator.robot import now


def critical(robot: RobotId) -> AlertFired:
    """Version 2 is slow on this robot."""
    return AlertFired(
        robot_id=robot,
        alert=AlertName("InferenceSlow"),
        incident=1,
        severity=Severity.CRITICAL,
        value=0.2,
        expression="model_inference_duration_seconds > 0.1",
        summary="inference is slow",
        digest=DIGESTS["2"],
        pending_since=now(),
        fired_at=now(),
    )


async def withdraw(fleet: Fleet, version: str, *, is_told: bool = True) -> None:
    """Write what the registry writes, in one batch; if not ``is_told``, only what it leaves behind."""
    registry = await fleet.system.connect(Principal.REGISTRY)
    listed = Withdrawals(counter=1, reasons={DIGESTS[version]: "sees ghosts"})
    fact = ModelWithdrawn(
        name=ModelName("detector"),
        version=Version(version),
        digest=DIGESTS[version],
        reason="sees ghosts",
        withdrawn_at=now(),
    )
    signed = SignedWithdrawals(payload=encode(listed), key_id="k", signature=b"s" * 64)
    await write_atomically(registry, [Write(signed), *([Write(fact)] if is_told else [])])
