"""Revocation beats delivery: a real coordinator takes back, and never starts, what was withdrawn."""

from __future__ import annotations

from msgspec.structs import replace

from fleetward.bus.batch import Write, write_atomically
from fleetward.contracts.codec import encode
from fleetward.contracts.curation import SignedWithdrawals, Withdrawals
from fleetward.contracts.ids import ModelName, Version
from fleetward.contracts.judgements import ModelWithdrawn
from fleetward.contracts.rollouts import RobotPhase, RolloutState
from fleetward.contracts.rows import Principal, StreamName
from tests.integration.rollout_coordinator.detector import DIGESTS
from tests.integration.rollout_coordinator.fleet import POLICY, Fleet
from tests.integration.rollout_coordinator.robot import now
from tests.integration.rollout_coordinator.stored import stored_in, targets_in

BAKING = replace(POLICY, bake_s=600)


async def withdraw(fleet: Fleet, version: str) -> None:
    """Write what the registry writes, in one batch."""
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
    await write_atomically(registry, [Write(signed), Write(fact)])


async def test_a_withdrawal_takes_a_rollout_back_and_nobody_is_given_the_model_again(
    fleet: Fleet,
) -> None:
    running = await fleet.ask("recalled", "2", policy=BAKING)
    await fleet.reached(
        running,
        lambda rollout: any(held.phase is RobotPhase.PROVED for held in rollout.robots.values()),
    )

    await withdraw(fleet, "2")

    ended = await fleet.ended(running)
    assert ended.state is RolloutState.REVERTED
    assert ended.reason == "detector:2 was withdrawn: sees ghosts"
    assert {robot.serves for robot in fleet.robots} == {DIGESTS["1"]}
    given = targets_in(await stored_in(fleet.system, StreamName.ROLLOUTS))
    refusal = await fleet.refusal(await fleet.ask("again", "2"))
    assert "detector:2 was withdrawn: sees ghosts" in refusal
    assert targets_in(await stored_in(fleet.system, StreamName.ROLLOUTS)) == given
