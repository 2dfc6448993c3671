"""The steps a robot can take towards its target; converge.py says which comes next."""

from __future__ import annotations

from msgspec import Struct

from fleetward.contracts.robots import ActivationStage


class Rest(Struct, frozen=True):
    """Nothing to do until something changes."""


class Fetch(Struct, frozen=True):
    """Bring the target's bytes into the store."""


class Stage(Struct, frozen=True):
    """Verify the stored bytes, start a green worker with them and warm it up."""


class StartShadow(Struct, frozen=True):
    """Verify the stored bytes and start a worker that sees frames beside the one that serves."""


class Compare(Struct, frozen=True):
    """The shadow sees frames: compare enough of its answers, and report that once."""


class EndShadow(Struct, frozen=True):
    """A shadow works that is no longer wanted: end it."""


class DiscardStaged(Struct, frozen=True):
    """A green worker waits with a model that is no longer wanted: end it."""


class Refuse(Struct, frozen=True):
    """The target names withdrawn bytes: report that, and try this generation never again."""


class RetireWarm(Struct, frozen=True):
    """The warm model was withdrawn: end it, so that nothing can fall back to it."""


class ReportStaged(Struct, frozen=True):
    """Green is warm, and the target wants no more than that for now: say so once."""


class AwaitSwap(Struct, frozen=True):
    """The wanted model is warm and may not serve yet: wait for its instant and its interlocks."""


class Swap(Struct, frozen=True):
    """Let the warm green worker serve."""


class SwapBack(Struct, frozen=True):
    """Return to the warm model, moving no bytes: it is wanted, or what serves was never proved."""


class Restore(Struct, frozen=True):
    """What serves was left together with its set, and the model before is not warm: load it, and return."""


class Prove(Struct, frozen=True):
    """The wanted model serves: count good inferences, then commit and report."""


Action = (
    Rest
    | Fetch
    | Stage
    | ReportStaged
    | StartShadow
    | Compare
    | EndShadow
    | DiscardStaged
    | Refuse
    | RetireWarm
    | AwaitSwap
    | Swap
    | SwapBack
    | Restore
    | Prove
)

PREPARES: dict[type[Action], ActivationStage] = {
    Fetch: ActivationStage.FETCH,
    Stage: ActivationStage.LOAD,
    StartShadow: ActivationStage.SHADOW,
    Compare: ActivationStage.SHADOW,
}
"""What happens beside the robot's work, and where on the way it stands with it."""
