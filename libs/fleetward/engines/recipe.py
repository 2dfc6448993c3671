"""All that an engine depends on, in values: the model, how it is built, and what it is built on.

Pure. Two builds with the same key may use each other's engine; any other engine is foreign.
"""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Struct

from fleetward.contracts.ids import Digest

WORKSPACE_BYTES = 1024**3
OPTIMIZATION_LEVEL = 3
"""TensorRT's own default; 5 searches longest."""

_encode = msgspec.msgpack.Encoder(order="deterministic").encode


class ShapeRange(Struct, frozen=True, kw_only=True):
    """The shapes that one input with free dimensions may have at run time."""

    minimum: tuple[int, ...]
    optimum: tuple[int, ...]
    maximum: tuple[int, ...]


class Recipe(Struct, frozen=True, kw_only=True):
    """How an engine is built. Types are the model's own: no recipe changes a precision."""

    shapes: dict[str, ShapeRange] = {}
    """By input name, for every input with free dimensions."""
    workspace_bytes: int = WORKSPACE_BYTES
    optimization_level: int = OPTIMIZATION_LEVEL
    dla_core: int | None = None
    """Run on this deep learning accelerator what it can run, the rest on the GPU."""
    compute_capability: str = ""
    """Build for this one, as ``SM86``; empty: for the GPU that is here. TensorRT for RTX alone."""


class Platform(Struct, frozen=True, kw_only=True):
    """What an engine is built on and runs on; it fits no other.

    tensorrt: flavour and full version. driver: its version, with the L4T release on a Jetson.
    """

    tensorrt: str
    cuda_runtime: int
    driver: str
    gpu: str
    compute_capability: str
    multiprocessors: int


class EngineKey(Struct, frozen=True, kw_only=True):
    """Which engine this is."""

    model: Digest
    recipe: Recipe
    platform: Platform

    @property
    def content(self) -> bytes:
        """The key itself, always in the same bytes."""
        return _encode(self)

    @property
    def name(self) -> str:
        """``sha256:<hex>`` of the key."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


def timing_content(recipe: Recipe, platform: Platform) -> bytes:
    """What measurements of kernels depend on: the hardware, and where on it layers run."""
    return _encode(["timing", platform, recipe.dla_core])
