"""Reads a stream from its first message to its last, as the server keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nats.js.errors import NotFoundError

from fleetward.bus.deliveries import decode_from
from fleetward.contracts.codec import decode
from fleetward.contracts.decisions import RolloutDecided
from fleetward.contracts.event import Event
from fleetward.contracts.ids import RobotId, RolloutId
from fleetward.contracts.robots import RobotTarget, SignedTarget
from fleetward.contracts.rollout_events import (
    RolloutEnded,
    RolloutHalted,
    RolloutStarted,
    WaveCompleted,
    WaveStarted,
)
from fleetward.contracts.rollouts import (
    Rollout,
)
from fleetward.contracts.rows import Principal, StreamName
from rollout_coordinator.replay import Replayed, replayed
from testkit.servers import NatsSystem


async def stored_in(system: NatsSystem, stream: StreamName) -> list[Event]:
    """Every fact the stream still holds, oldest first."""
    connection = await system.connect(Principal.PROVISIONER)
    jetstream = connection.jetstream()
    state = (await jetstream.stream_info(stream.value)).state
    facts: list[Event] = []
    for sequence in range(state.first_seq, state.last_seq + 1):
        try:
            message = await jetstream.get_msg(stream.value, sequence)
        except NotFoundError:  # an older value of a subject that keeps a bounded number
            continue
        assert message.subject is not None
        facts.append(decode_from(message.subject, message.data or b""))
    return facts


def targets_in(facts: Sequence[Event]) -> dict[RobotId, list[RobotTarget]]:
    """Each robot's targets, oldest first."""
    targets: dict[RobotId, list[RobotTarget]] = {}
    for fact in facts:
        if isinstance(fact, SignedTarget):
            targets.setdefault(fact.robot_id, []).append(decode(fact.payload, RobotTarget))
    return targets


def assert_generations_strictly_increase(facts: Sequence[Event]) -> None:
    """From 1, without a gap and without a repetition."""
    for robot, targets in targets_in(facts).items():
        generations = [target.generation for target in targets]
        assert generations == list(range(1, len(generations) + 1)), f"{robot}: {generations}"


def assert_nothing_happened_twice(facts: Sequence[Event]) -> None:
    """One start, one end, each wave once, each model once per robot and rollout; no revision lost."""
    happened: Counter[tuple[object, ...]] = Counter()
    revisions: dict[str, int] = {}
    for fact in facts:
        match fact:
            case RolloutStarted() | RolloutHalted() | RolloutEnded():
                happened[type(fact), fact.rollout_id] += 1
            case WaveStarted() | WaveCompleted():
                happened[type(fact), fact.rollout_id, fact.wave] += 1
            case SignedTarget():
                target = decode(fact.payload, RobotTarget)
                happened[target.robot_id, target.rollout_id, target.digest] += 1
            case Rollout():
                assert fact.revision == revisions.get(fact.rollout_id, fact.revision - 1) + 1
                revisions[fact.rollout_id] = fact.revision
    assert not [what for what, times in happened.items() if times > 1]


def assert_decisions_are_reproduced(facts: Sequence[Event]) -> None:
    """Every decision of every rollout, made again from the log, leads to the same bytes."""
    logs: dict[RolloutId, list[RolloutDecided]] = {}
    states: dict[RolloutId, Rollout] = {}
    for fact in facts:
        if isinstance(fact, RolloutDecided):
            logs.setdefault(fact.rollout_id, []).append(fact)
        if isinstance(fact, Rollout):
            states[fact.rollout_id] = fact
    assert {rollout: len(log) for rollout, log in logs.items()} == {
        rollout: state.revision for rollout, state in states.items()
    }
    for log in logs.values():
        again = list(replayed(log))
        assert [type(each) for each in again] == [Replayed] * len(log), again[-1]
