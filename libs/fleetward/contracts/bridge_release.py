"""A release of the bridge itself: published, rolled out and judged as a model is, under a name of its own."""

from __future__ import annotations

from fleetward.contracts.ids import ModelName

BRIDGE_MODEL = ModelName("edge-bridge")
"""Under this name the registry holds releases of the bridge and nothing else, and no other name holds one.
A robot that can take one says so by a pipeline of this name in its check-ins."""
BRIDGE_FORMAT = "bridge"
"""As a manifest's ``format``."""
