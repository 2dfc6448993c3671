"""One pipeline as the others see it whose models may have to switch with its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge_bridge.converging.health_window import HealthWindow
from edge_bridge.converging.remembering import Remembered
from edge_bridge.converging.steps import Steps
from edge_bridge.converging.together import Standing, Together
from fleetward.contracts.robots import RobotTarget, TargetMode


class PipelineMember:
    """``on_interrupted``: look at once, whatever is under way."""

    def __init__(
        self,
        steps: Steps,
        remembered: Remembered,
        window: HealthWindow,
        on_interrupted: Callable[[], None],
    ) -> None:
        self._steps = steps
        self._remembered = remembered
        self._window = window
        self._on_interrupted = on_interrupted
        self._proved_generation = 0

    @property
    def target(self) -> RobotTarget | None:
        """The newest that it accepted."""
        return self._remembered.memory.target

    @property
    def standing(self) -> Standing:
        """As of this turn of the loop."""
        memory, slots, target = self._remembered.memory, self._steps.slots, self.target
        if target is None or target.mode is not TargetMode.SERVE:
            return Standing.PREPARING
        serves = slots.active is not None and slots.active.digest == target.digest
        if memory.activated == target:
            return Standing.PROVED if serves else Standing.LEFT
        if target.generation <= memory.settled_generation:
            return Standing.FAILED
        if serves:
            is_proved = self._proved_generation == target.generation
            return Standing.PROVED if is_proved else Standing.SERVES
        held = {model.digest for model in (slots.staged, slots.warm) if model is not None}
        may_switch = target.digest in held and self._steps.gate.is_open(target)
        return Standing.READY if may_switch else Standing.PREPARING

    def refuse_alone(self, together: Together) -> None:
        """Raise TogetherError when another failed that its open target switches together with."""
        memory, target = self._remembered.memory, self.target
        if target is not None and target.generation > memory.settled_generation:
            together.refuse_after_failure(target)

    def agreed(self, together: Together) -> Callable[[bool], bool]:
        """Whether a target is reached, once its own model was seen to do well: when all others were."""
        target = self.target
        assert target is not None, "only an accepted target is proved"

        def agreed(enough: bool) -> bool:
            if enough:
                self._proved_generation = target.generation
            return enough and together.are_proved(target)

        return agreed

    def switch(self) -> Awaitable[None]:
        """Serve the target's model from now on; await what is returned to be done with the one before."""
        assert self.target is not None, "only a member that is ready switches"
        self._window.stop()
        self._steps.gate.stir()  # whoever waits for the switch goes on to its proof
        return self._steps.switch(self.target)

    def interrupt(self) -> None:
        """Something changed that comes before whatever is under way."""
        self._on_interrupted()
