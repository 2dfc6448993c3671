"""A robot that serves a detector in its own pipeline and a segmenter in one of its name."""

from __future__ import annotations

from msgspec.structs import replace
from nats.aio.client import Client

from fleetward.bus.last_values import last_value
from fleetward.contracts.ids import Digest, ModelName
from fleetward.contracts.robots import PipelineStanding, RobotCheckedIn, RobotTarget, SignedTarget
from fleetward.trust.signing import TrustedKeys
from tests.integration.rollout_coordinator.detector import MODEL
from tests.integration.rollout_coordinator.robot import Robot, failure_of, proof_of

SEGMENTER = ModelName("segmenter")


class RobotOfTwo(Robot):
    """Each model of its target is served, or fails, for itself; a set is, or fails, whole."""

    def __init__(self, name: str, connection: Client, keys: TrustedKeys, copies: int) -> None:
        super().__init__(name, connection, keys, copies)
        self.accepted: dict[ModelName, int] = {}
        self.serving: dict[ModelName, Digest] = {}
        self._unsent.append(self._heartbeat(0))

    @property
    def infers_with(self) -> tuple[Digest | None, ...]:
        """Both of its models' digests."""
        return tuple(self.serving.values())

    async def _look(self) -> None:
        value = await last_value(self._connection, SignedTarget, robot_id=self.robot_id)
        target = self._believed(value.event) if value is not None else None
        if target is None:
            return
        newer = [each for each in target.entries if self._is_newer(each)]
        for each in newer:
            self.accepted[each.model.name] = each.generation
        broken = {each.together for each in newer if each.digest == self.breaks}
        for each in newer:
            if each.digest == self.breaks or (each.together and each.together in broken):
                self._unsent.append(failure_of(each))
            else:
                self.serving[each.model.name] = each.digest
                self._unsent.append(proof_of(each))
        if newer:
            self._unsent.append(self._heartbeat(0))

    def _is_newer(self, entry: RobotTarget) -> bool:
        accepted = self.accepted.get(entry.model.name, 0)
        assert entry.generation >= accepted, f"{entry.model.name} went backwards"
        return entry.generation > accepted

    def _heartbeat(self, generation: int) -> RobotCheckedIn:
        segmenter = PipelineStanding(
            name=SEGMENTER,
            generation=self.accepted.get(SEGMENTER, 0),
            active_digest=self.serving.get(SEGMENTER),
        )
        return replace(
            super()._heartbeat(self.accepted.get(MODEL, generation)),
            active_digest=self.serving.get(MODEL),
            pipelines=(segmenter,),
        )
