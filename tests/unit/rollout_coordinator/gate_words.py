"""What people and web services say about a rollout that waits at gates."""

from __future__ import annotations

from fleetward.contracts.gates import GateAnswered, RolloutApproved, Verdict
from fleetward.contracts.rollouts import Rollout
from tests.unit.rollout_coordinator.scenes import HERE, START


def approval(
    rollout: Rollout, by: str = "bob", *, yes: bool = True, plan: str | None = None, gate: str = ""
) -> RolloutApproved:
    """A person's word on what waits at the rollout's checkpoint."""
    return RolloutApproved(
        rollout_id=HERE,
        digest=rollout.digest,
        plan=rollout.plan if plan is None else plan,
        checkpoint=rollout.checkpoint,
        gate=gate,
        is_approved=yes,
        approved_by=by,
        approved_at=START,
    )


def gate_answer(
    rollout: Rollout, verdict: Verdict = Verdict.PASSED, gate: str = "twin"
) -> GateAnswered:
    """A web service's word on the same."""
    return GateAnswered(
        rollout_id=HERE,
        gate=gate,
        checkpoint=rollout.checkpoint,
        verdict=verdict,
        reason="so it says",
        round=rollout.gates[gate].round if gate in rollout.gates else 0,
        answered_at=START,
    )
