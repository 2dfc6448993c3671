"""A sample that a robot records under any name reaches the verdict that its policy asks for."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from fleetward.contracts.codec import decode, encode
from fleetward.contracts.evidence import SignalGuard
from fleetward.contracts.ids import BootId, Digest
from fleetward.contracts.rollouts import RobotPhase, Rollout, RolloutPolicy
from fleetward.contracts.telemetry import InferenceSummarized, TelemetryFrame
from rollout_coordinator.evidence import with_summary
from rollout_coordinator.verdict import condemnation
from telemetry_ingest.boots import BootRecord, absorb
from telemetry_ingest.columns import columns_of
from telemetry_ingest.moments import moments_of
from telemetry_ingest.summaries import summary_of
from testkit.telemetry import frame
from tests.unit.rollout_coordinator.scenes import NEW, OLD, START, planned, robot

SECONDS = 12
POLICY = RolloutPolicy(
    min_inferences=1, signals=(SignalGuard(signal="gripper.slips", tolerance=1.0),)
)
DURATION = "model.inference.duration"


def frames(number: int, digest: Digest, slips: float) -> list[TelemetryFrame]:
    """A frame a second: inferences with their digest, and what the robot's own program records."""
    return [
        frame(
            robot(number),
            "boot",
            turn + 1,
            START + timedelta(seconds=turn),
            {
                DURATION: [(0.1 * step, 0.01) for step in range(5)],
                "gripper.slips": [(0.5, slips + 0.1 * number)],
            },
            {DURATION: {"digest": digest}},
        )
        for turn in range(SECONDS)
    ]


def summaries(number: int, digest: Digest, slips: float) -> list[InferenceSummarized]:
    """What telemetry-ingest announces of them, as it arrives."""
    arrived = [moments_of(columns_of(one)) for one in frames(number, digest, slips)]
    closed = absorb(BootRecord(), arrived).closed
    announced = [summary_of(robot(number), BootId("boot"), *one) for one in closed]
    return [decode(encode(one), InferenceSummarized) for one in announced]


def reasons(rollout: Rollout, canary_slips: float) -> set[str]:
    """What is said at every window of five canary and five control robots."""
    told = [
        summaries(number, NEW if number <= 5 else OLD, canary_slips if number <= 5 else 2.0)
        for number in range(1, 11)
    ]
    said = set()
    for windows in zip(*told, strict=True):
        for window in windows:
            evidence = with_summary(rollout, window, window.started_at + timedelta(seconds=2))
            rollout = replace(rollout, evidence=evidence)
            said.add(condemnation(evidence, rollout.policy, len(rollout.waves)))
    return said - {""}


def rollout() -> Rollout:
    """Five robots on the new model, five on the old."""
    plan = planned(5, 5, policy=POLICY)
    robots = {
        name: replace(held, phase=RobotPhase.PROVED if name in plan.waves[0] else held.phase)
        for name, held in plan.robots.items()
    }
    return replace(plan, robots=robots)


def test_a_signal_that_an_embedding_program_records_condemns_a_model() -> None:
    (reason, *_) = reasons(rollout(), canary_slips=9.0)
    assert reason.startswith("gripper.slips is 9.3 on the new model against 2.8 on the control")


def test_a_signal_that_stays_as_it_was_condemns_nothing() -> None:
    assert reasons(rollout(), canary_slips=2.0) == set()
