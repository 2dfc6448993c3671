"""What can go wrong between a model's file and its frames, named by cause."""

from __future__ import annotations

from edge_bridge.errors import ActivationError, BridgeError
from fleetward.contracts.robots import ActivationStage


class LoadFailedError(ActivationError):
    """The model's file did not become a session; the message says which file and why."""

    stage = ActivationStage.LOAD


class WarmUpFailedError(ActivationError):
    """The model loaded, and could not answer its first inferences."""

    stage = ActivationStage.WARM_UP


class NothingStagedError(BridgeError):
    """A swap was asked for and no staged model is ready."""


class NothingWarmError(BridgeError):
    """A fall back was asked for and no earlier model is warm."""


class FrameRefusedError(BridgeError):
    """A frame that does not fit the ring or does not match its own shape."""


class LedgerError(BridgeError):
    """A frame was ended twice, or was never captured: the account would be wrong."""
