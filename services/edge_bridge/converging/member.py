"""One pipeline as the others see it whose models may have to switch with its own."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timezone

from edge_bridge.converging import converge, outcome
from edge_bridge.converging.converge import Placed
from edge_bridge.converging.health_window import HealthWindow
from edge_bridge.converging.outcome import Proof
from edge_bridge.converging.remembering import Change, Remembered
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.together import Standing, Together
from edge_bridge.workers.slots import FellBack
from fleetward.bus.logs import log
from fleetward.contracts.event import Event
from fleetward.contracts.robots import RobotTarget, TargetMode

_logger = logging.getLogger(__name__)


class PipelineMember:
    """on_interrupted: look at once, whatever is under way. on_returned: look when that is done."""

    def __init__(
        self,
        steps: Steps,
        remembered: Remembered,
        window: HealthWindow,
        *,
        on_interrupted: Callable[[], None],
        on_returned: Callable[[], None],
    ) -> None:
        self.remembered = remembered
        self._steps = steps
        self._window = window
        self._on_interrupted = on_interrupted
        self._on_returned = on_returned
        self._proof: tuple[RobotTarget, Proof] | None = None
        self._reports: Sequence[Event] = ()
        self._falls: list[tuple[FellBack, Placed]] = []
        """That were not written down yet, and what serves since."""
        self._falls_told = 0
        """Of these, how many the writing under way knows."""

    @property
    def target(self) -> RobotTarget | None:
        """The newest that it accepted."""
        return self.remembered.memory.target

    @property
    def activated(self) -> RobotTarget | None:
        """The last that was proved."""
        return self.remembered.memory.activated

    @property
    def is_committed(self) -> bool:
        """Whether the newest target's model is the robot's own, on its disk."""
        memory, target = self.remembered.memory, self.target
        return (
            target is not None
            and memory.activated == target
            and target.generation <= memory.settled_generation
        )

    @property
    def standing(self) -> Standing:
        """As of this turn of the loop."""
        memory, slots, target = self.remembered.memory, self._steps.slots, self.target
        if target is None or target.mode is not TargetMode.SERVE:
            return Standing.PREPARING
        serves = slots.active is not None and slots.active.digest == target.digest
        if self.is_committed:
            return Standing.PROVED if serves else Standing.LEFT
        if target.generation <= memory.settled_generation:
            return Standing.FAILED
        if serves:
            is_proved = self._proof is not None and self._proof[0] == target
            return Standing.PROVED if is_proved else Standing.SERVES
        held = {model.digest for model in (slots.staged, slots.warm) if model is not None}
        may_switch = target.digest in held and self._steps.gate.is_open(target)
        return Standing.READY if may_switch else Standing.PREPARING

    def refuse_alone(self, together: Together) -> None:
        """Raise TogetherError when another failed that its open target switches together with."""
        memory, target = self.remembered.memory, self.target
        if target is not None and target.generation > memory.settled_generation:
            together.refuse_after_failure(target)

    def switch(self) -> Awaitable[None]:
        """Serve the target's model from now on; await what is returned to be done with the one before."""
        assert self.target is not None, "only a member that is ready switches"
        self._window.stop()
        self._steps.gate.stir()  # whoever waits for the switch goes on to its proof
        return self._steps.switch(self.target)

    def interrupt(self) -> None:
        """Something changed that comes before whatever is under way."""
        self._on_interrupted()

    def proved(self, target: RobotTarget, proof: Proof) -> None:
        """``target``'s model was seen to do well."""
        self._proof = target, proof

    def doubted(self) -> None:
        """It was, and does no more."""
        self._proof = None

    async def prepare(self) -> None:
        """Make ready what is said of a target that is proved."""
        if self._proof is not None:
            self._reports = await self._steps.proved(*self._proof, self.remembered.memory, _now())

    def commitment(self) -> Change:
        """The target's model becomes the robot's own."""
        assert self.target is not None, "only an accepted target is proved"
        release = self._steps.release_of(self.target)
        memory = converge.commit(self.remembered.memory, release)
        return Change(self.remembered, memory, self._reports)

    def committed(self) -> None:
        """It is, on the robot's disk."""
        self._proof, self._reports = None, ()
        target = self.activated
        assert target is not None, "it was just written"
        log(_logger, "bridge.activated", model=str(target.model), generation=target.generation)
        self._window.start(target)
        self._steps.watch.wake()

    @property
    def left(self) -> RobotTarget | None:
        """What was activated, and was left by a return that is not written down yet."""
        brought = self.activated
        if brought is None or not converge.is_own(self.remembered.memory, brought.digest):
            return None
        return (
            brought if any(fall.from_digest == brought.digest for fall, _ in self._falls) else None
        )

    def fell(self, fall: FellBack) -> None:
        """Its slots returned to another model."""
        serving = self._steps.slots.active
        if serving is not None and serving.digest == fall.to_digest:
            self._falls.append((fall, Placed(serving.model, serving.digest)))

    def leave(self, reason: str) -> None:
        """Return from what was activated to the model before, where there is one.

        One that serves something else already, or is on its way to it, goes its own way.
        """
        memory, active = self.remembered.memory, self._steps.slots.active
        left = memory.activated
        assert left is not None, "only what was activated is left"
        if not converge.is_own(memory, left.digest) or self.left is not None:
            return
        if active is None or active.digest == left.digest:
            self._window.stop()
            self._return(left, reason)
            self._steps.watch.wake()

    def _return(self, left: RobotTarget, reason: str) -> None:
        """What is warm serves at once, what is stored once it is loaded: see ``actions.Restore``."""
        slots, previous = self._steps.slots, self.remembered.memory.previous
        if slots.active is not None and slots.warm is not None:
            self.fell(slots.return_to_warm(reason))
        elif previous is not None and self._steps.may_restore(previous.digest):
            fall = FellBack(
                from_digest=left.digest,
                to_digest=previous.digest,
                reason=reason,
                frames_reissued=0,
            )
            self._falls.append((fall, previous))
        else:
            log(
                _logger,
                "bridge.stays_alone",
                level=logging.ERROR,
                model=str(left.model),
                reason=f"{reason}, and there is no earlier model to return to",
            )

    def fallen(self) -> Change | None:
        """The model that it returned to becomes the robot's own; None: it is, or it did not return."""
        memory, self._falls_told = self.remembered.memory, len(self._falls)
        for fall, placed in self._falls:
            if converge.is_own(memory, fall.from_digest):
                log(_logger, "bridge.fell_back", level=logging.WARNING, reason=fall.reason)
                left = memory.activated
                facts = [outcome.fell_back(left, fall, _now())] if left else []
                return Change(self.remembered, converge.return_to(memory, placed), facts)
        return None

    def fall_written(self) -> None:
        """It is, on the robot's disk."""
        del self._falls[: self._falls_told]
        if self._falls_told:
            self._falls_told = 0
            self._on_returned()


def _now() -> datetime:
    return datetime.now(timezone.utc)
