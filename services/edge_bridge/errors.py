"""What can go wrong on a robot, named by its cause; transient causes are retried for ever."""

from __future__ import annotations

from collections.abc import Collection

from fleetward.contracts.errors import FleetwardError
from fleetward.contracts.robots import ActivationStage


class BridgeError(FleetwardError):
    """The root of every error the edge bridge raises."""


class TransientError(BridgeError):
    """The network, the hub or the object store: nothing is wrong with the model; try again."""


class FetchInterruptedError(TransientError):
    """A transfer stopped half-way; what arrived is kept and the rest is asked for again."""


class WrongChunkError(BridgeError):
    """Bytes arrived that are not the chunk which the signed manifest names: take them elsewhere."""


class CredentialRefusedError(BridgeError):
    """The hub does not let the robot in with credentials that it issued; those before still hold."""


class DiskFailedError(TransientError):
    """The disk refused to read or write, though it is not full: try again, and serve meanwhile."""


class ActivationError(BridgeError):
    """This target cannot be reached on this robot: reported once, tried again never.

    ``stage`` says how far it came; a newer generation begins afresh.
    """

    stage = ActivationStage.TARGET


class WithdrawnError(ActivationError):
    """The registry withdrew these bytes; they are served nowhere any more."""


class FetchRefusedError(ActivationError):
    """The registry or the object store will not give these bytes."""

    stage = ActivationStage.FETCH


class ByteCapError(ActivationError):
    """Going on would move more bytes than the target allows."""

    stage = ActivationStage.FETCH


class DiskFullError(ActivationError):
    """The model does not fit, even after everything that may go is gone."""

    stage = ActivationStage.FETCH


class ManifestRefusedError(ActivationError):
    """The manifest is not signed by the registry, or describes another model."""

    stage = ActivationStage.VERIFY


class MetadataRefusedError(ActivationError):
    """The registry's answer about what may be trusted is itself not to be trusted, or expired."""

    stage = ActivationStage.VERIFY


class TargetForbiddenError(ActivationError):
    """The target is signed, and asks for what the registry does not let this robot take."""

    stage = ActivationStage.TARGET


class DigestMismatchError(ActivationError):
    """The bytes are not the model that the target names."""

    stage = ActivationStage.VERIFY


class LoadFailedError(ActivationError):
    """The model's file did not become a session; the message says which file and why."""

    stage = ActivationStage.LOAD


class WarmUpFailedError(ActivationError):
    """The model loaded, and could not answer its first inferences."""

    stage = ActivationStage.WARM_UP


class ShadowFailedError(ActivationError):
    """The model cannot be compared with what serves: it fails, or it is the same."""

    stage = ActivationStage.SHADOW


class DisturbedError(ActivationError):
    """Preparing the model would disturb what the robot does, for longer than it may wait."""

    def __init__(
        self, stage: ActivationStage, model: str, disturbed: str, patience_s: float
    ) -> None:
        """``disturbed`` says what is too much."""
        super().__init__(
            f"preparing {model} paused for more than {patience_s:g} s in all: {disturbed}. Roll it out "
            "again when the robot has less to do, or raise its FLEETWARD_DISTURBANCE_ limits."
        )
        self.stage = stage


class TogetherError(ActivationError):
    """Another model cannot serve that this one switches together with."""

    stage = ActivationStage.SWAP


class ProofFailedError(ActivationError):
    """The model was swapped in and did not serve enough good inferences."""

    stage = ActivationStage.PROOF


class NoPipelineError(BridgeError):
    """A model was named that has no pipeline of its own on this robot."""

    def __init__(self, name: str, known: Collection[str]) -> None:
        super().__init__(
            f"{name} has no pipeline of its own here; {', '.join(sorted(known)) or 'no model'} has. "
            "Name it in FLEETWARD_PIPELINES, or in Settings.pipelines."
        )


class NothingStagedError(BridgeError):
    """A swap was asked for and no staged model is ready."""


class NothingWarmError(BridgeError):
    """A fall back was asked for and no earlier model is warm."""


class FrameRefusedError(BridgeError):
    """A frame that does not fit the ring or does not match its own shape."""


class LedgerError(BridgeError):
    """A frame was ended twice, or was never captured: the account would be wrong."""


class ReleaseRefusedError(ActivationError):
    """A release of the bridge cannot be installed here, or did not stand its test before the handover."""

    def __init__(self, stage: ActivationStage, reason: str) -> None:
        super().__init__(f"the release was not taken: {reason}")
        self.stage = stage


class NotUpdatableError(ActivationError):
    """A target names a release of the bridge, and this bridge cannot start another."""


class TrialFailedError(BridgeError):
    """A release on trial does not do what it is for; the robot's own is started again."""
