"""A release of the bridge itself: published, rolled out and judged as a model is, under a name of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleetward.contracts.ids import ModelName

BRIDGE_MODEL = ModelName("edge-bridge")
"""Under this name the registry holds releases of the bridge and nothing else, and no other name holds one.
A robot that can take one says so by a pipeline of this name in its check-ins."""
BRIDGE_FORMAT = "bridge"
"""As a manifest's ``format``."""
MAX_EXTRAS = 16
MAX_EXTRA_CHARACTERS = 32
"""Of what a robot may say that it needs."""
_EXTRAS = "extras"


def told_extras(extras: Iterable[str]) -> dict[str, str]:
    """What the metadata of a release says of the extras that it brings: nothing of the bare bridge."""
    told = ", ".join(extras)
    return {_EXTRAS: told} if told else {}


def extras_told(metadata: Mapping[str, str]) -> frozenset[str]:
    """The extras of a release with this metadata."""
    told = metadata.get(_EXTRAS, "")
    return frozenset(told.split(", ")) if told else frozenset()
